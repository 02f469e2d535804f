import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest'

import { endLeftoverAgents } from '../../../src/manager/leftover-agents.ts'
import type { AgentState } from '../../../src/muster-v1/messages.ts'
import type { Authority } from '../../../src/trust/authority.ts'
import { readRequest } from '../../../src/trust/certificate-request.ts'
import { keyPairAndCsr } from '../../../src/trust/new-key.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeDaemon } from '../../support/fake-daemon.ts'
import { anAuthority, FakeTrust, fleetId } from '../../support/fake-trust.ts'

const muster = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
const managerProgram = fileURLToPath(new URL('../../support/manager-program.ts', import.meta.url))
const helloAgent = fileURLToPath(new URL('../../../examples/hello-agent/agent.ts', import.meta.url))
const compileCache = fileURLToPath(new URL('../../../node_modules/.cache/muster/compiled', import.meta.url))

let authority: Authority
let folder: string
let trust: FakeTrust
let daemon: FakeDaemon
let running: ChildProcess[]

beforeAll(async () => {
  authority = await anAuthority()
})

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'muster-joined-'))
  trust = new FakeTrust(authority)
  daemon = await new FakeDaemon(trust).start()
  running = []
})

afterEach(async () => {
  for (const child of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
  }
  await endLeftoverAgents(join(folder, 'machine'))
  daemon.stop()
  await rm(folder, { recursive: true, force: true })
})

interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<unknown[]>
  readonly log: () => string
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Started {
  const child = spawn(process.execPath, args, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    // Half of a start is compiling: as main.ts does.
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compileCache, ...env },
  })
  running.push(child)
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (more: string) => (log += more))
  // Its end, not that of its output: agents that outlive it have the same.
  return { child, ended: once(child, 'exit'), log: () => log }
}

function joins(...more: readonly string[]): Started {
  const args = ['join', '--fleet', fleetId, '--daemon', daemon.address, '--dir', join(folder, 'machine')]
  return start([muster, ...args, ...more])
}

const withToken = () => ['--pin', authority.pins[0]!, '--token-file', join(folder, 'token')]
const agentOf = async (): Promise<AgentState> => {
  const [agent] = await eventually(
    () => daemon.withStatus('WAITING').length === 1 && daemon.withStatus('WAITING'),
    { timeoutMs: 30_000, what: 'an agent WAITING' },
  )
  return agent!
}
const answers = (agent: AgentState) =>
  fetch(`http://127.0.0.1:${agent.port}/`).then(
    () => true,
    () => false,
  )

it('joins with a token, is killed, and comes back with its certificate and without its old agents', async () => {
  await writeFile(join(folder, 'token'), 'good-token\n', { mode: 0o600 })
  const first = joins(...withToken(), '--address', 'here.example')
  const agent = await agentOf()
  expect(daemon.hellos[0]).toMatchObject({ address: 'here.example', capacity: 1 })
  expect((await stat(join(folder, 'machine', 'spec.json'))).mode & 0o777).toBe(0o600)
  expect(await readFile(join(folder, 'machine', 'spec.json'), 'utf8')).not.toContain('good-token')

  const second = joins(...withToken())
  expect(await second.ended).toEqual([1, null])
  await eventually(() => second.log().includes('another manager runs in this directory'))

  first.child.kill('SIGKILL')
  await first.ended
  expect(await answers(agent)).toBe(true)
  await rm(join(folder, 'token'))
  joins(...withToken())
  await eventually(() => daemon.hellos.length === 2, { timeoutMs: 30_000 })
  await eventually(async () => !(await answers(agent)), { what: 'the old agent’s end' })
  const next = await agentOf()
  expect(next.agentId).not.toBe(agent.agentId)
  expect(trust.enrolments).toHaveLength(1)
  expect(new Set(trust.connections).size).toBe(1)
  daemon.say({ message: 'leave', leave: {} })
  await eventually(() => running.at(-1)?.exitCode === 0)
  expect(await answers(next)).toBe(false)
})

it('joins with a ready certificate, from a folder that only its owner reads', async () => {
  const { privateKeyPem, csrPem } = keyPairAndCsr()
  const { certificate, ca } = await trust.renew(csrPem)
  const zip = join(folder, 'zip')
  await mkdir(zip)
  await writeFile(join(zip, 'ca.pem'), ca)
  await writeFile(join(zip, 'cert.pem'), certificate)
  await writeFile(join(zip, 'key.pem'), privateKeyPem, { mode: 0o644 })
  const refused = joins('--certificate-dir', zip, '--agents', '0')
  expect(await refused.ended).toEqual([1, null])
  await eventually(() => refused.log().includes('chmod 600'))
  await rm(join(zip, 'key.pem'))
  await writeFile(join(zip, 'key.pem'), privateKeyPem, { mode: 0o600 })
  joins('--certificate-dir', zip, '--agents', '0')
  await eventually(() => daemon.hellos.length === 1, { timeoutMs: 30_000 })
  expect(trust.connections).toEqual([trust.issued[0]!.serial])
  expect(trust.enrolments).toEqual([])
})

it('is killed at each step of enrolment and renewal, and always goes on with what counts', async () => {
  const directory = join(folder, 'machine')
  await mkdir(directory)
  const spec = {
    ...{
      fleetId,
      launchId: null,
      cloudId: 'machine-1',
      enrolmentToken: 'good-token',
      caPins: authority.pins,
    },
    ...{ agents: 0, version: 'demo', daemons: [daemon.address], address: 'here', app: 'hello-agent' },
    agentCommand: [process.execPath, helloAgent],
  }
  await writeFile(join(directory, 'spec.json'), JSON.stringify(spec), { mode: 0o600 })
  const run = (env: Record<string, string>) => start([managerProgram, 'manager', '--dir', directory], env)
  const killedAt = async (point: string, env: Record<string, string> = {}) => {
    const { ended, log } = run({ ...env, MUSTER_FAULTS: point })
    expect(await ended, log()).toEqual([null, 'SIGKILL'])
  }
  await killedAt('pending-key.written')
  expect(trust.enrolments).toHaveLength(0)
  await killedAt('enrolment.answered')
  await killedAt('credentials.written')
  expect(trust.enrolments).toHaveLength(2)
  expect(new Set(trust.enrolments.map((body) => readRequest(body.csr).spkiHash)).size).toBe(1)
  expect(trust.issued).toHaveLength(1)

  const late = { TEST_AHEAD_MS: String(18 * 3_600_000) }
  await killedAt('pending-key.written', late)
  expect(trust.renewals).toHaveLength(0)
  await killedAt('renewal.answered', late)
  await killedAt('credentials.written', late)
  expect(new Set(trust.renewals).size).toBe(1)
  expect(trust.issued).toHaveLength(2)

  run({})
  await eventually(() => trust.connections.at(-1) === trust.issued[1]!.serial, { timeoutMs: 30_000 })
  expect(trust.enrolments).toHaveLength(2)
})
