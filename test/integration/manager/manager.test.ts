import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { silentLogger } from '../../../src/lib/logger.ts'
import { runManager } from '../../../src/manager/manager.ts'
import type { ManagerTiming } from '../../../src/manager/manager.ts'
import type { ManagerSpec } from '../../../src/model/manager-spec.ts'
import type { AgentState } from '../../../src/muster-v1/messages.ts'
import type { Authority } from '../../../src/trust/authority.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeDaemon } from '../../support/fake-daemon.ts'
import { anAuthority, FakeTrust } from '../../support/fake-trust.ts'

const helloAgent = fileURLToPath(new URL('../../../examples/hello-agent/agent.ts', import.meta.url))

let directory: string
let authority: Authority
let trust: FakeTrust
let daemon: FakeDaemon
let stopping: AbortController
let exits: Promise<number>[]

async function run(spec: Partial<ManagerSpec> = {}, timing: Partial<ManagerTiming> = {}): Promise<void> {
  const whole: ManagerSpec = {
    fleetId: 'fleet-1',
    launchId: 'launch-1',
    cloudId: 'local-1',
    enrolmentToken: 'good-token',
    caPins: authority.pins,
    agents: 2,
    version: 'demo',
    daemons: [daemon.address],
    address: '127.0.0.1',
    app: 'hello-agent',
    agentCommand: [process.execPath, helloAgent],
    ...spec,
  }
  await writeFile(join(directory, 'spec.json'), JSON.stringify(whole))
  exits.push(start(timing))
}

function start(timing: Partial<ManagerTiming> = {}): Promise<number> {
  const environment = { PATH: process.env['PATH'] }
  return runManager({ directory, environment, log: silentLogger, timing }, stopping.signal)
}

const waiting = (count: number) =>
  eventually(() => daemon.withStatus('WAITING').length === count && daemon.withStatus('WAITING'), {
    what: `${count} agents WAITING`,
  })
const status = (agentId: string) => daemon.agents.get(agentId)?.status
const call = (agent: AgentState, path = '/', method = 'GET') =>
  fetch(`http://127.0.0.1:${agent.port}${path}`, { method })

async function pidOf({ agentId }: AgentState): Promise<number> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
    if (environment.includes(`MUSTER_AGENT_ID=${agentId}`)) return Number(pid)
  }
  throw new Error(`no process of agent ${agentId}`)
}

/** Until its parent, this process, has taken its exit. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Gives the agent its session, as far as RUNNING. */
async function occupy(agent: AgentState, sessionId: string): Promise<void> {
  daemon.startSession(agent.agentId, sessionId)
  await eventually(() => status(agent.agentId) === 'CONNECTING')
  expect((await call(agent)).status).toBe(200)
  await eventually(() => status(agent.agentId) === 'RUNNING')
}

beforeAll(async () => {
  authority = await anAuthority()
})

beforeEach(async () => {
  trust = new FakeTrust(authority)
  directory = await mkdtemp(join(tmpdir(), 'muster-manager-'))
  daemon = await new FakeDaemon(trust).start()
  stopping = new AbortController()
  exits = []
})

afterEach(async () => {
  stopping.abort()
  await Promise.allSettled(exits)
  daemon.stop()
  await rm(directory, { recursive: true, force: true })
})

describe('a manager', () => {
  it('enrols with its token and a key of its own, and shows agents that answer', async () => {
    await run()
    const agents = await waiting(2)
    const hello = daemon.hellos[0]!
    expect(trust.enrolments).toMatchObject([
      { token: 'good-token', cloud_id: 'local-1', address: '127.0.0.1' },
    ])
    expect(hello).toMatchObject({
      hostId: '',
      address: '127.0.0.1',
      capacity: 2,
      version: 'demo',
    })
    expect((await stat(join(directory, 'credentials.json'))).mode & 0o777).toBe(0o600)
    for (const agent of agents) expect((await call(agent)).status).toBe(404)
    await eventually(() => daemon.capacities.includes(2), { what: 'a heartbeat' })
  })

  it('leaves a host that another manager has', async () => {
    await run()
    await waiting(2)
    expect(await start()).toBe(0)
    expect(daemon.hellos).toHaveLength(1)
    const claim = JSON.parse(await readFile(join(directory, 'claim'), 'utf8')) as object
    expect(claim).toMatchObject({ pid: process.pid, startTime: expect.any(Number) as number })
  })

  it('gives an agent its session, sees its user come, and replaces it when the session ends', async () => {
    await run()
    const [agent, other] = (await waiting(2)) as [AgentState, AgentState]
    daemon.startSession(agent.agentId, 's1', 'ada')
    await eventually(() => daemon.sessionsTaken.length === 1)
    expect(daemon.sessionsTaken).toEqual([
      { agentId: agent.agentId, sessionId: 's1', taken: true, error: '' },
    ])
    await eventually(() => status(agent.agentId) === 'CONNECTING')
    const answer = (await (await call(agent)).json()) as object
    expect(answer).toEqual({ agent_id: agent.agentId, session_id: 's1', user_id: 'ada' })
    await eventually(() => status(agent.agentId) === 'RUNNING')
    daemon.startSession(agent.agentId, 's1', 'ada')
    daemon.startSession(agent.agentId, 's2', 'bob')
    await eventually(() => daemon.sessionsTaken.length === 3)
    expect(daemon.sessionsTaken.slice(1)).toMatchObject([
      { sessionId: 's1', taken: true },
      { sessionId: 's2', taken: false },
    ])
    expect((await call(agent, '/end', 'POST')).status).toBe(200)
    await eventually(() => !daemon.agents.has(agent.agentId))
    const now = await waiting(2)
    expect(now.map((one) => one.agentId)).toContain(other.agentId)
    expect(now.map((one) => one.agentId)).not.toContain(agent.agentId)
  })

  it('restarts an agent that was killed, under another id', async () => {
    await run()
    const [killed, other] = (await waiting(2)) as [AgentState, AgentState]
    process.kill(await pidOf(killed), 'SIGKILL')
    await eventually(() => !daemon.agents.has(killed.agentId))
    const now = (await waiting(2)).map((one) => one.agentId)
    expect(now).toContain(other.agentId)
    expect(now).not.toContain(killed.agentId)
  })

  it('says why a session failed, and says nothing of one that was ended or whose agent somebody asked to end', async () => {
    const gone = async (agent: AgentState) => {
      await eventually(() => daemon.told.get(agent.agentId)?.status === 'GONE')
      return daemon.told.get(agent.agentId)?.failure
    }
    await run({ agents: 3 })
    const [killed, asked, ended] = (await waiting(3)) as [AgentState, AgentState, AgentState]
    await occupy(killed, 's1')
    await occupy(asked, 's2')
    await occupy(ended, 's3')
    process.kill(await pidOf(killed), 'SIGKILL')
    expect(await gone(killed)).toBe('killed by SIGKILL')
    process.kill(await pidOf(asked), 'SIGTERM')
    expect(await gone(asked)).toBe('')
    await call(ended, '/end', 'POST')
    expect(await gone(ended)).toBe('')
    const [stopped] = (await waiting(3)) as [AgentState]
    await occupy(stopped, 's4')
    daemon.say({ message: 'stopAgent', stopAgent: { agentId: stopped.agentId } })
    expect(await gone(stopped)).toBe('')
  })

  it('says with which code an agent left its session', async () => {
    const quitter = `const say = (word) => console.log(JSON.stringify(word))
      say({ type: 'listening', port: 9 })
      require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
        say({ type: 'session-taken', session_id: JSON.parse(line).session_id })
        setTimeout(() => process.exit(3), 20)
      })`
    await run({ agentCommand: [process.execPath, '-e', quitter], agents: 1 })
    const [agent] = (await waiting(1)) as [AgentState]
    daemon.startSession(agent.agentId, 's1')
    await eventually(() => daemon.told.get(agent.agentId)?.status === 'GONE')
    expect(daemon.told.get(agent.agentId)?.failure).toBe('exited with code 3')
  })

  it('tells a new daemon whose session failed while there was none, and only the first', async () => {
    await run()
    const [agent] = (await waiting(2)) as [AgentState]
    await occupy(agent, 's1')
    const { port } = daemon
    const pid = await pidOf(agent)
    daemon.stop()
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isAlive(pid), { what: 'its manager has noticed' })
    daemon = await new FakeDaemon(trust).start(port)
    await eventually(() => daemon.told.get(agent.agentId)?.status === 'GONE', { what: 'its end is told' })
    expect(daemon.told.get(agent.agentId)).toMatchObject({ sessionId: 's1', failure: 'killed by SIGKILL' })
    await waiting(2)
    daemon.stop()
    daemon = await new FakeDaemon(trust).start(port)
    await waiting(2)
    expect(daemon.told.has(agent.agentId)).toBe(false)
  })

  it('stops an agent when told to, and calls gone what it does not have', async () => {
    await run()
    const [agent] = (await waiting(2)) as [AgentState]
    daemon.say({ message: 'stopAgent', stopAgent: { agentId: agent.agentId } })
    await eventually(() => !daemon.agents.has(agent.agentId))
    await waiting(2)
    daemon.say({ message: 'stopAgent', stopAgent: { agentId: 'never-was' } })
    await eventually(() => daemon.reports.some(({ agentId }) => agentId === 'never-was'))
  })

  it.each([
    ['end at once', [process.execPath, '-e', 'process.exit(3)']],
    ['are not there', ['/nowhere/agent']],
  ])('lowers its capacity when agents %s', async (_, agentCommand) => {
    await run({ agentCommand, agents: 1 }, { restartFirstMs: 1, restartLongestMs: 10 })
    await eventually(() => daemon.capacities.includes(0), { what: 'capacity 0' })
    expect(daemon.reports).toEqual([])
  })

  it('ends agents that do not heed SIGTERM', async () => {
    const stubborn = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)
      console.log(JSON.stringify({ type: 'listening', port: 9 }))`
    await run({ agentCommand: [process.execPath, '-e', stubborn], agents: 1 }, { stopGraceMs: 100 })
    const [agent] = (await waiting(1)) as [AgentState]
    daemon.say({ message: 'stopAgent', stopAgent: { agentId: agent.agentId } })
    await eventually(() => !daemon.agents.has(agent.agentId))
  })

  it('reconnects to a daemon that was restarted without touching a session', async () => {
    await run()
    const [agent] = (await waiting(2)) as [AgentState]
    await occupy(agent, 's1')
    const { port } = daemon
    daemon.stop()
    expect((await call(agent)).status).toBe(200)
    daemon = await new FakeDaemon(trust).start(port)
    await eventually(() => daemon.hellos.length === 1)
    expect(daemon.hellos[0]).toMatchObject({ hostId: 'host-1' })
    expect(daemon.hellos[0]!.agents).toHaveLength(2)
    expect(daemon.hellos[0]!.agents).toContainEqual({ ...agent, status: 'RUNNING', sessionId: 's1' })
    expect((await call(agent)).status).toBe(200)
  })

  it('tells a new daemon of what ended while there was none', async () => {
    await run()
    const [agent] = (await waiting(2)) as [AgentState]
    await occupy(agent, 's1')
    const { port } = daemon
    daemon.stop()
    expect((await call(agent, '/end', 'POST')).status).toBe(200)
    daemon = await new FakeDaemon(trust).start(port)
    await waiting(2)
    expect(daemon.agents.has(agent.agentId)).toBe(false)
  })

  it('finds its way home through the file `daemon`, and past a daemon that is gone', async () => {
    await run({ daemons: ['127.0.0.1:1'] })
    await writeFile(join(directory, 'daemon'), `\n  ${daemon.address}  \n`)
    await waiting(2)
    const second = await new FakeDaemon(trust).start()
    await writeFile(join(directory, 'daemon'), `${daemon.address}\n${second.address}\n`)
    daemon.stop()
    await eventually(() => second.connected === 1)
    second.stop()
  })

  it('tries again when the daemon says that it is unavailable, or says nothing', async () => {
    daemon.refusal = { code: 'unavailable', message: 'standing by' }
    await run({ agents: 1 }, { welcomeTimeoutMs: 200 })
    await eventually(() => daemon.hellos.length >= 2)
    daemon.refusal = undefined
    daemon.answers = false
    const before = daemon.hellos.length
    await eventually(() => daemon.hellos.length >= before + 2)
    daemon.answers = true
    await waiting(1)
  })

  it('stops its agents and fails when the daemon refuses it for ever', async () => {
    await run()
    const [agent] = (await waiting(2)) as [AgentState]
    const { port } = daemon
    daemon.stop()
    daemon = new FakeDaemon(trust)
    daemon.refusal = { code: 'unauthorized', message: 'unknown key' }
    await daemon.start(port)
    expect(await exits[0]).toBe(1)
    await expect(call(agent)).rejects.toThrow()
  })

  it('tells its sessions of the drain where that is wished, and lets them go on', async () => {
    const isTold = async (agent: AgentState) =>
      ((await (await call(agent)).json()) as { draining?: boolean }).draining === true
    await run()
    const [live, free] = (await waiting(2)) as [AgentState, AgentState]
    await occupy(live, 's1')
    daemon.say({ message: 'drain', drain: { notifySessions: false } })
    await eventually(() => !daemon.agents.has(free.agentId))
    expect(await isTold(live)).toBe(false)
    daemon.say({ message: 'drain', drain: { notifySessions: true } })
    await eventually(() => isTold(live), { what: 'the session is told' })
    expect(status(live.agentId)).toBe('RUNNING')
  })

  it('drains: ends its free agents, waits for the live one, says so until it may leave', async () => {
    await run()
    const [live, free] = (await waiting(2)) as [AgentState, AgentState]
    await occupy(live, 's1')
    daemon.say({ message: 'drain', drain: { notifySessions: false } })
    await eventually(() => !daemon.agents.has(free.agentId))
    expect(daemon.drained).toBe(0)
    expect((await call(live)).status).toBe(200)
    await call(live, '/end', 'POST')
    await eventually(() => daemon.drained === 1)
    expect(daemon.agents.size).toBe(0)
    const { port } = daemon
    daemon.stop()
    daemon = await new FakeDaemon(trust).start(port)
    await eventually(() => daemon.drained >= 1, { what: 'Drained again' })
    daemon.say({ message: 'leave', leave: {} })
    expect(await exits[0]).toBe(0)
  })

  it('leaves at once when told to, sessions or not', async () => {
    await run()
    const [agent] = (await waiting(2)) as [AgentState]
    await occupy(agent, 's1')
    daemon.say({ message: 'leave', leave: {} })
    expect(await exits[0]).toBe(0)
    await expect(call(agent)).rejects.toThrow()
    expect(daemon.agents.size).toBe(0)
    expect(daemon.drained).toBe(0)
  })

  it('says every fault of its spec', async () => {
    await writeFile(join(directory, 'spec.json'), '{"agents": -1, "colour": "red"}')
    const failure = await start().catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'config-invalid' })
    const { details } = failure as { details: readonly string[] }
    expect(details.join('\n')).toMatch(/agents[\s\S]*colour/)
  })
})
