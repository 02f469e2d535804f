import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '../../../src/lib/clock.ts'
import type { Clock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { CredentialsStore } from '../../../src/manager/credentials-store.ts'
import { runManager } from '../../../src/manager/manager.ts'
import type { ManagerSpec } from '../../../src/model/manager-spec.ts'
import type { AgentState } from '../../../src/muster-v1/messages.ts'
import type { Authority } from '../../../src/trust/authority.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeDaemon } from '../../support/fake-daemon.ts'
import { anAuthority, FakeTrust, fleetId } from '../../support/fake-trust.ts'

const helloAgent = fileURLToPath(new URL('../../../examples/hello-agent/agent.ts', import.meta.url))

let authority: Authority
let directory: string
let trust: FakeTrust
let daemon: FakeDaemon
let stopping: AbortController
let exits: Promise<number>[]
let lines: { level: string; msg: string; reason?: string }[]

beforeAll(async () => {
  authority = await anAuthority()
})

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-trusted-'))
  trust = new FakeTrust(authority)
  daemon = await new FakeDaemon(trust).start()
  stopping = new AbortController()
  exits = []
  lines = []
})

afterEach(async () => {
  stopping.abort()
  await Promise.allSettled(exits)
  daemon.stop()
  await rm(directory, { recursive: true, force: true })
})

/** Remembers what it is told. */
const log = new Proxy(silentLogger, {
  get: (target, level: string) =>
    ['info', 'warn', 'error'].includes(level)
      ? (fields: object, msg: string) => void lines.push({ level, msg, ...fields })
      : (Reflect.get(target, level) as unknown),
})

async function run(spec: Partial<ManagerSpec> = {}, clock: Clock = systemClock): Promise<void> {
  const whole: ManagerSpec = {
    ...{ fleetId, launchId: 'launch-1', cloudId: 'machine-1', enrolmentToken: 'good-token' },
    ...{ caPins: authority.pins, agents: 1, version: 'demo', daemons: [daemon.address] },
    ...{ address: '127.0.0.1', app: 'hello-agent', agentCommand: [process.execPath, helloAgent], ...spec },
  }
  await writeFile(join(directory, 'spec.json'), JSON.stringify(whole))
  const environment = { PATH: process.env['PATH'] }
  exits.push(runManager({ directory, environment, log, clock }, stopping.signal))
}

const waiting = async (): Promise<AgentState> => {
  const [agent] = await eventually(
    () => daemon.withStatus('WAITING').length === 1 && daemon.withStatus('WAITING'),
    {
      what: 'an agent WAITING',
    },
  )
  return agent!
}
const call = (agent: AgentState) => fetch(`http://127.0.0.1:${agent.port}/`)
const serials = () => trust.issued.map((one) => one.serial)

async function occupy(agent: AgentState): Promise<void> {
  daemon.startSession(agent.agentId, 's1')
  await eventually(() => daemon.agents.get(agent.agentId)?.status === 'CONNECTING')
  expect((await call(agent)).status).toBe(200)
  await eventually(() => daemon.agents.get(agent.agentId)?.status === 'RUNNING')
}

describe('a manager with an authority', () => {
  it.each([
    ['a port', () => daemon.address],
    ['a WebSocket', () => daemon.wire.webSocketUrl],
  ])('enrols and serves by mutual TLS at %s, and comes back', async (_, address) => {
    await run({ daemons: [address()] })
    const agent = await waiting()
    expect(trust.connections).toEqual(serials())
    expect(daemon.hellos[0]).toMatchObject({ hostId: '', address: '127.0.0.1', capacity: 1 })
    await eventually(() => daemon.infos.length === 1)
    expect(JSON.parse(daemon.infos[0]!.toString())).toMatchObject({
      cpu: { count: expect.any(Number) as number },
    })
    daemon.say({ message: 'askInfo', askInfo: {} })
    await eventually(() => daemon.infos.length === 2)
    await occupy(agent)
    daemon.wire.cut()
    await eventually(() => daemon.hellos.length === 2)
    expect(daemon.hellos[1]!.agents).toMatchObject([{ agentId: agent.agentId, status: 'RUNNING' }])
    expect(trust.enrolments).toHaveLength(1)
  })

  it('says nothing to a daemon of another authority, and what it is', async () => {
    await run()
    await waiting()
    const { port } = daemon
    daemon.stop()
    const other = new FakeTrust(await anAuthority())
    daemon = await new FakeDaemon(other).start(port)
    await eventually(() => lines.some(({ reason }) => reason?.includes('no daemon of this fleet')))
    expect(daemon.hellos).toEqual([])
  })

  it.each([
    ['a port', () => daemon.address],
    ['a WebSocket', () => daemon.wire.webSocketUrl],
  ])(
    'is refused at %s when its certificate is revoked: says why that probably is, and serves on',
    async (_, address) => {
      await run({ daemons: [address()] })
      const agent = await waiting()
      await occupy(agent)
      trust.revoked.add(serials()[0]!)
      daemon.wire.cut()
      await eventually(() =>
        lines.some(({ reason }) => reason?.includes('revoked, or its backend is terminated')),
      )
      expect((await call(agent)).status).toBe(200)
      trust.revoked.clear()
      await eventually(() => daemon.hellos.length === 2, { timeoutMs: 20_000 })
    },
  )

  it('ends everything and fails when its backend is terminated', async () => {
    await run()
    const agent = await waiting()
    await occupy(agent)
    daemon.say({ message: 'terminated', terminated: { reason: 'certificate-revoked' } })
    expect(await exits[0]).toBe(1)
    await expect(call(agent)).rejects.toThrow()
    expect(lines.at(-1)).toMatchObject({
      level: 'error',
      msg: 'manager service terminated: certificate-revoked',
    })
  })

  it('fails when its first token is refused', async () => {
    await run({ enrolmentToken: 'spent-token' })
    expect(await exits[0]).toBe(1)
    expect(daemon.hellos).toEqual([])
    expect(lines.at(-1)?.msg).toBe('the daemon refuses this host')
  })

  it('renews with a new key in time, and goes on with the new certificate', async () => {
    let aheadMs = 0
    await run({}, { ...systemClock, now: () => Date.now() + aheadMs })
    const agent = await waiting()
    await occupy(agent)
    // Past two thirds of a day, which its timer does not know: the next Welcome looks.
    aheadMs = 18 * 3_600_000
    daemon.wire.cut()
    await eventually(() => daemon.hellos.length === 3, { what: 'a stream with another certificate' })
    const [first, second] = trust.issued
    expect(second!.spkiHash).not.toBe(first!.spkiHash)
    expect(trust.connections).toEqual([first!.serial, first!.serial, second!.serial])
    expect(daemon.hellos[2]!.agents).toMatchObject([{ agentId: agent.agentId, status: 'RUNNING' }])
    expect((await call(agent)).status).toBe(200)
    expect(trust.enrolments).toHaveLength(1)
    expect((await new CredentialsStore(directory).read())?.serial).toBe(second!.serial)
  })
})
