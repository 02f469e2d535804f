import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { silentLogger } from '../../../src/lib/logger.ts'
import { runManager } from '../../../src/manager/manager.ts'
import type { ManagerSpec } from '../../../src/model/manager-spec.ts'
import type { Authority } from '../../../src/trust/authority.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeDaemon } from '../../support/fake-daemon.ts'
import { anAuthority, FakeTrust } from '../../support/fake-trust.ts'
import { MetadataServer } from '../../support/metadata-server.ts'

const helloAgent = fileURLToPath(new URL('../../../examples/hello-agent/agent.ts', import.meta.url))
const end = new Date('2026-11-21T12:02:00.000Z')
const told = { kind: 'INTERRUPTION', action: 'terminate', at: end.getTime() }

let directory: string
let authority: Authority
let trust: FakeTrust
let daemon: FakeDaemon
let metadata: MetadataServer
let stopping: AbortController
let exited: Promise<number>

async function run(changes: Partial<ManagerSpec> = {}): Promise<void> {
  const spec: ManagerSpec = {
    ...{ fleetId: 'fleet-1', launchId: 'launch-1', cloudId: 'local-1', enrolmentToken: 'good-token' },
    ...{ caPins: authority.pins, agents: 2, version: 'demo', daemons: [daemon.address] },
    ...{ address: '127.0.0.1', app: 'hello-agent', agentCommand: [process.execPath, helloAgent] },
    ...{ metadataEndpoint: metadata.endpoint, ...changes },
  }
  await writeFile(join(directory, 'spec.json'), JSON.stringify(spec))
  const environment = { PATH: process.env['PATH'] }
  const timing = { metadataEveryMs: 10 }
  exited = runManager({ directory, environment, log: silentLogger, timing }, stopping.signal)
}

/** A user on one of two agents; gives what the agent answers. */
async function aSession(): Promise<() => Promise<unknown>> {
  const agents = await eventually(() => {
    const waiting = daemon.withStatus('WAITING')
    return waiting.length === 2 && waiting
  })
  const agent = agents[0]!
  daemon.startSession(agent.agentId, 's1')
  await eventually(() => daemon.agents.get(agent.agentId)?.status === 'CONNECTING')
  return async () => (await fetch(`http://127.0.0.1:${agent.port}/`)).json()
}
const isTold = (answer: () => Promise<unknown>, at = end) =>
  eventually(async () => ((await answer()) as { ends_at?: string }).ends_at === at.toISOString(), {
    what: 'the agent is told',
  })

beforeAll(async () => {
  authority = await anAuthority()
})
beforeEach(async () => {
  trust = new FakeTrust(authority)
  directory = await mkdtemp(join(tmpdir(), 'muster-manager-'))
  daemon = await new FakeDaemon(trust).start()
  metadata = await new MetadataServer().start()
  stopping = new AbortController()
  exited = Promise.resolve(0)
})
afterEach(async () => {
  stopping.abort()
  await exited
  daemon.stop()
  metadata.stop()
  await rm(directory, { recursive: true, force: true })
})

describe('a manager whose provider takes the machine', () => {
  it('tells the daemon once a stream, and whoever serves a user', async () => {
    await run()
    const answer = await aSession()
    metadata.interrupt(end)
    await isTold(answer)
    await eventually(() => daemon.interruptions.length === 1)
    const { looks } = metadata
    await eventually(() => metadata.looks > looks + 4)
    expect(daemon.interruptions).toEqual([told])
    metadata.advise(end)
    await eventually(() => daemon.interruptions.length === 2)
    expect(daemon.interruptions[1]).toEqual({ kind: 'REBALANCE', action: '', at: end.getTime() })
  })

  it('tells the agents while the daemon is away, and the daemon when it is back', async () => {
    await run()
    const answer = await aSession()
    const { port } = daemon
    daemon.stop()
    metadata.interrupt(end)
    await isTold(answer)
    daemon = await new FakeDaemon(trust).start(port)
    await eventually(() => daemon.interruptions.length > 0, { what: 'the daemon is told' })
    expect(daemon.interruptions).toEqual([told])
  })

  it('takes the daemon’s word for it, and the earliest time of all', async () => {
    await run({ metadataEndpoint: undefined })
    const answer = await aSession()
    const word = (at: Date) =>
      daemon.say({
        message: 'interruption',
        interruption: { kind: 'INTERRUPTION', action: '', at: at.getTime() },
      })
    word(end)
    await isTold(answer)
    const earlier = new Date(end.getTime() - 60_000)
    word(earlier)
    await isTold(answer, earlier)
    word(end)
    daemon.say({ message: 'askInfo', askInfo: {} })
    await eventually(() => daemon.infos.length >= 2, { what: 'all that was said has been heard' })
    await isTold(answer, earlier)
  })

  it('asks nobody when it is not told where', async () => {
    await run({ metadataEndpoint: undefined })
    await aSession()
    expect({ looks: metadata.looks, tokens: metadata.tokens }).toEqual({ looks: 0, tokens: 0 })
  })
})
