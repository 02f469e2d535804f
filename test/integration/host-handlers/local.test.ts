import { execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { createHandler, stopAllHosts } from '../../../host-handlers/local/handler.ts'
import { findHostProcesses } from '../../../host-handlers/local/host-processes.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { HostHandler } from '../../../src/model/host-handler.ts'
import type { Authority } from '../../../src/trust/authority.ts'
import { aHandlerContext } from '../../support/a-handler-context.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeDaemon } from '../../support/fake-daemon.ts'
import { anAuthority, FakeTrust } from '../../support/fake-trust.ts'
import {
  aLaunchSpec,
  describeHandlerContract,
  listHosts,
  terminateAll,
} from '../../host-handlers/contract.ts'
import { TestClock } from '../../support/test-clock.ts'

const managerProgram = fileURLToPath(new URL('../../support/manager-program.ts', import.meta.url))
const launchProgram = fileURLToPath(new URL('../../support/launch-program.ts', import.meta.url))
const program = [process.execPath, managerProgram]
const { signal } = new AbortController()

// Other tests have hosts on this machine too: ours are those below our own data directory.
async function processesBelow(dataDirectory: string) {
  return (await findHostProcesses()).filter((one) => one.directory.startsWith(dataDirectory))
}

async function managersBelow(dataDirectory: string): Promise<readonly number[]> {
  return (await processesBelow(dataDirectory)).filter((one) => one.pid === one.group).map((one) => one.pid)
}

async function endBelow(dataDirectory: string): Promise<void> {
  await eventually(async () => {
    const left = await processesBelow(dataDirectory)
    for (const { pid } of left) process.kill(pid, 'SIGKILL')
    return left.length === 0
  })
  await rm(dataDirectory, { recursive: true, force: true })
}

describeHandlerContract('local', async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'muster-local-'))
  const scope = randomUUID()
  return {
    // Fleets of its own, so that runs side by side do not see each other.
    open: (fleetId) => inFleet(fleetId, scope, dataDirectory),
    countMachines: async () => {
      const all = await managersBelow(dataDirectory)
      return all.length
    },
    close: () => endBelow(dataDirectory),
  }
})

/** The contract names `fleet-1`; here its machines are those of a fleet of the run's own. */
function inFleet(name: string, scope: string, dataDirectory: string): HostHandler {
  const fleetId = `${name}-${scope}`
  const handler = createHandler(aHandlerContext({ fleetId, dataDirectory, program, options: quiet }))
  return {
    launch: (spec, given) => handler.launch({ ...spec, fleetId, agentsPerHost: 0 }, given),
    async *list(regionId, given) {
      for await (const host of handler.list(regionId, given)) {
        yield host.fleetId === fleetId ? { ...host, fleetId: name } : host
      }
    },
    terminate: (cloudIds, given) => handler.terminate(cloudIds, given),
  }
}

const quiet = { agent_command: ['/bin/true'] }

describe('local hosts', () => {
  let dataDirectory: string
  let authority: Authority
  let trust: FakeTrust
  let daemon: FakeDaemon
  const fleetId = `fleet-${randomUUID()}`
  const spec = (overrides = {}) =>
    aLaunchSpec({ fleetId, caPins: authority.pins, agentsPerHost: 2, ...overrides })
  const open = (overrides = {}) =>
    createHandler(
      aHandlerContext({
        fleetId,
        dataDirectory,
        program,
        daemonAddresses: () => [daemon.address],
        environment: { PATH: process.env['PATH'], SECRET: 'do not pass on', FAVOURITE: 'blue' },
        options: { inherit: ['FAVOURITE'] },
        ...overrides,
      }),
    )

  beforeAll(async () => {
    authority = await anAuthority()
  })

  beforeEach(async () => {
    dataDirectory = await mkdtemp(join(tmpdir(), 'muster-local-'))
    trust = new FakeTrust(authority, fleetId)
    trust.takesAnyToken = true
    daemon = await new FakeDaemon(trust).start()
  })

  afterEach(async () => {
    daemon.stop()
    await endBelow(dataDirectory)
  })

  it('bring up their agents, and end with all of them', async () => {
    const handler = open()
    const { cloudIds } = await handler.launch(spec(), signal)
    await eventually(
      () => [...daemon.told.values()].filter(({ status }) => status === 'WAITING').length === 4,
    )
    expect(trust.enrolments.map((one) => one.cloud_id).sort()).toEqual([...cloudIds].sort())
    expect(await processesBelow(dataDirectory)).toHaveLength(6)
    await terminateAll(handler, cloudIds)
    expect(await processesBelow(dataDirectory)).toEqual([])
  })

  it('see nothing of the daemon’s environment but what is named', async () => {
    const handler = open()
    await handler.launch(spec({ count: 1 }), signal)
    const [manager = 0] = await eventually(async () => {
      const found = await managersBelow(dataDirectory)
      return found.length > 0 && found
    })
    const environment = await readFile(`/proc/${manager}/environ`, 'utf8')
    expect(environment).toContain('FAVOURITE=blue')
    expect(environment).not.toContain('SECRET')
  })

  it('exist while an agent lives, also after their manager was killed and the data directory is lost', async () => {
    const handler = open()
    const { cloudIds } = await handler.launch(spec({ count: 1 }), signal)
    await eventually(() => daemon.withStatus('WAITING').length === 2)
    const [agent] = daemon.withStatus('WAITING')
    daemon.startSession(agent!.agentId, 's1')
    await eventually(() => daemon.sessionsTaken.length === 1)
    const [manager = 0] = await managersBelow(dataDirectory)
    process.kill(manager, 'SIGKILL')
    await eventually(async () => !(await managersBelow(dataDirectory)).includes(manager))
    const answer = (await (await fetch(`http://127.0.0.1:${agent!.port}/`)).json()) as object
    expect(answer).toMatchObject({ session_id: 's1' })
    await rm(join(dataDirectory, 'hosts'), { recursive: true })
    const restarted = open()
    expect((await listHosts(restarted)).map((host) => host.cloudId)).toEqual(cloudIds)
    const first = await restarted.terminate(cloudIds, signal)
    expect([...first.values()]).toEqual(['accepted'])
    await terminateAll(restarted, cloudIds)
    expect(await processesBelow(dataDirectory)).toEqual([])
  })

  it('are ended by force when they do not heed the first word', async () => {
    const stubborn = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)
      console.log(JSON.stringify({ type: 'listening', port: 9 }))`
    const clock = new TestClock()
    const handler = open({ clock, options: { agent_command: [process.execPath, '-e', stubborn] } })
    const { cloudIds } = await handler.launch(spec({ count: 1, agentsPerHost: 1 }), signal)
    await eventually(() => daemon.withStatus('WAITING').length === 1)
    const [manager = 0] = await managersBelow(dataDirectory)
    process.kill(manager, 'SIGKILL')
    const ask = async () => [...(await handler.terminate(cloudIds, signal)).values()]
    expect(await ask()).toEqual(['accepted'])
    await clock.advance(1999)
    expect(await ask()).toEqual(['accepted'])
    expect(await listHosts(handler)).toHaveLength(1)
    await clock.advance(1)
    expect(await ask()).toEqual(['accepted'])
    await eventually(async () => (await ask())[0] === 'gone')
  })

  it('find a daemon that has moved, through the list', async () => {
    const handler = open()
    await handler.launch(spec({ count: 1 }), signal)
    await eventually(() => daemon.connected === 1)
    daemon.stop()
    daemon = await new FakeDaemon(trust).start()
    await listHosts(handler)
    await eventually(() => daemon.withStatus('WAITING').length === 2)
  })

  it('are not started by a manager that comes after their end', async () => {
    const handler = open({ program: ['/bin/true'] })
    const { cloudIds } = await handler.launch(spec({ count: 1 }), signal)
    await eventually(async () => (await handler.terminate(cloudIds, signal)).get(cloudIds[0]!) === 'gone')
    const directory = join(dataDirectory, 'hosts', cloudIds[0]!)
    const late = spawn(process.execPath, [managerProgram, 'manager', '--dir', directory])
    expect(await once(late, 'exit')).toEqual([0, null])
    expect(daemon.hellos).toEqual([])
  })

  it('say why they cannot be started', async () => {
    const missing = open({ program: ['/nowhere/muster'] }).launch(spec(), signal)
    await expect(missing).rejects.toMatchObject({ name: 'LaunchError', code: 'invalid-request' })
    await writeFile(join(dataDirectory, 'file'), '')
    const noRoom = open({ dataDirectory: join(dataDirectory, 'file') }).launch(spec(), signal)
    await expect(noRoom).rejects.toMatchObject({ name: 'LaunchError', code: 'invalid-request' })
  })

  it('are forgotten a day after their end, and not before', async () => {
    const clock = new TestClock(Date.now())
    const handler = open({ clock })
    const { cloudIds } = await handler.launch(spec({ count: 1, agentsPerHost: 0 }), signal)
    await eventually(() => daemon.connected === 1)
    await terminateAll(open(), cloudIds)
    const hosts = join(dataDirectory, 'hosts')
    await listHosts(handler)
    await clock.advance(2 * 60 * 60 * 1000)
    await listHosts(handler)
    expect(await readdir(hosts)).toEqual(cloudIds)
    const dayAgo = new Date(Date.now() - 25 * 60 * 60 * 1000)
    await utimes(join(hosts, cloudIds[0]!, 'ended'), dayAgo, dayAgo)
    await clock.advance(60 * 60 * 1000)
    await listHosts(handler)
    expect(await readdir(hosts)).toEqual([])
  })

  it('are not overlooked by a daemon that can hardly open a file: what the list leaves out is taken for gone', async () => {
    const fewFiles = fileURLToPath(new URL('../../support/few-files-program.ts', import.meta.url))
    const { stdout } = await promisify(execFile)('bash', [
      '-c',
      `ulimit -n 60; exec "${process.execPath}" "${fewFiles}"`,
    ])
    expect(stdout).toBe('overlooked 0 times')
  })

  it('are all stopped at once, those that are meant only', async () => {
    await open().launch(spec({ count: 2 }), signal)
    await eventually(() => daemon.connected === 2)
    const common = { clock: systemClock, signal }
    expect(await stopAllHosts({ fleetId: 'another', ...common })).toEqual([])
    expect(await stopAllHosts({ below: join(dataDirectory, 'host'), ...common })).toEqual([])
    expect(await stopAllHosts({ fleetId, below: dataDirectory, ...common })).toHaveLength(2)
    expect(await processesBelow(dataDirectory)).toEqual([])
  })

  it.each(['local.after-directory', 'local.after-directory#2', 'local.after-spawn', 'local.after-spawn#2'])(
    'are neither doubled nor lost when the daemon is killed at %s',
    async (fault) => {
      const given = spec({ agentsPerHost: 1 })
      const context = { fleetId, dataDirectory, program, daemons: [daemon.address], fault, spec: given }
      const doomed = spawn(process.execPath, [launchProgram, JSON.stringify(context)], { stdio: 'ignore' })
      expect(await once(doomed, 'exit')).toEqual([null, 'SIGKILL'])
      const handler = open()
      const { cloudIds } = await handler.launch(given, signal)
      expect(cloudIds).toHaveLength(2)
      await eventually(() => daemon.connected === 2 && daemon.told.size >= 2)
      // A doubled manager would leave by itself; none may be left, and none may have said Hello.
      await eventually(async () => (await managersBelow(dataDirectory)).length === 2)
      expect(new Set(trust.connections).size).toBe(2)
      expect((await listHosts(handler)).map((host) => host.cloudId).sort()).toEqual([...cloudIds].sort())
    },
  )
})
