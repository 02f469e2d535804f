import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'

import { MusterError } from '../../../src/model/errors.ts'
import { eventually } from '../../support/eventually.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import { aHello, anAgentState } from '../../support/scripted-manager.ts'
import type { LinkedFleet } from './linked-fleet.ts'
import { linkedFleet } from './linked-fleet.ts'

describeOnPostgres('managers dial in', () => {
  let fleet: FleetDatabase
  let linked: LinkedFleet
  beforeAll(async () => {
    fleet = await fleetDatabase()
    await fleet.seedRegion()
  })
  beforeEach(async () => {
    linked = await linkedFleet(fleet)
    await linked.refresh()
  })
  afterEach(async () => {
    await linked.stop()
    await fleet.sql('delete from fleet.backends')
    await fleet.sql('delete from fleet.hosts')
  })
  afterAll(() => fleet.close())

  const backend = async (id: string) =>
    (await fleet.sql('select * from fleet.backends where id = $1', [id]))[0]!

  it('a certificate is enough, and its backend is connected while the stream lasts', async () => {
    const identity = await linked.seedHost('h1', { status: 'PRE_CONNECTION' })
    const first = linked.dial(identity)
    first.say(aHello({ agents: [anAgentState({ agentId: 'a1' })] }))
    expect((await first.hears('welcome')).welcome).toEqual({ hostId: 'h1', heartbeatIntervalMs: 1_000 })
    expect(await linked.hostStatus('h1')).toBe('ACTIVE')
    expect(await linked.agentStatus('a1')).toBe('WAITING')
    expect(linked.mirror.host('h1')).toMatchObject({ status: 'ACTIVE', waitingAgents: 1 })
    expect(linked.wakes).toContainEqual({ kind: 'manager', what: 'connected' })
    expect(await backend('h1')).toMatchObject({ connected_serial: identity.serial, address: '127.0.0.1' })
    first.close()
    await eventually(() => !linked.link.isConnected('h1'))
    expect(linked.wakes).toContainEqual({ kind: 'manager', what: 'disconnected' })
    await eventually(async () => (await backend('h1'))['connected_at'] === null)

    await linked.connect(identity, { hostId: 'h1' })
    expect(linked.link.isConnected('h1')).toBe(true)
    // What the second Hello did not list is gone.
    expect(await linked.agentStatus('a1')).toBeUndefined()
    expect(linked.mirror.host('h1')?.agents).toEqual([])
  })

  it('a backend that nobody launched is connected without a host, and gets one where it has a region', async () => {
    const lone = await linked.connect(await linked.certify('lone'), { capacity: 0 })
    expect((await lone.hears('welcome')).welcome.hostId).toBe('')
    expect(await backend('lone')).toMatchObject({ host_id: null })
    lone.say({ message: 'report', report: { agents: [anAgentState({ agentId: 'nowhere' })] } })

    await fleet.seedRegion('static/here')
    await fleet.sql(
      `insert into fleet.backends (id, name, region_id) values ('static', 'static', 'static/here')`,
    )
    const served = await linked.connect(await linked.certify('static'), {
      agents: [anAgentState({ agentId: 's1' })],
    })
    const { hostId } = (await served.hears('welcome')).welcome
    expect(await linked.hostStatus(hostId)).toBe('ACTIVE')
    expect(await linked.agentStatus('s1')).toBe('WAITING')
    expect(await linked.agentStatus('nowhere')).toBeUndefined()
  })

  it.each([
    ['no address', { address: '' }],
    ['an absurd capacity', { capacity: 100_000 }],
  ])('%s is refused, and the stream is closed', async (_, hello) => {
    const manager = linked.dial(await linked.seedHost('h1'))
    manager.say(aHello(hello))
    expect((await manager.hears('refused')).refused.code).toBe('unauthorized')
    await eventually(() => manager.ended !== undefined)
  })

  it('a list that is behind lets nobody in: the database is asked again', async () => {
    const identity = await linked.seedHost('h1')
    await fleet.sql(`select fleet.revoke_certificate($1, 'user', 'test')`, [identity.serial])
    expect(linked.allowList.lookup(identity.serial)).toMatchObject({ backendId: 'h1' })
    const manager = linked.dial(identity)
    manager.say(aHello())
    await eventually(() => manager.ended !== undefined)
    expect(manager.all('welcome')).toEqual([])
    expect(linked.allowList.lookup(identity.serial)).toBe('unknown')
  })

  it('a host that is ending is welcomed, and told to leave', async () => {
    const manager = await linked.connect(await linked.seedHost('h1', { status: 'TERMINATING' }))
    await manager.hears('leave')
    expect(manager.heard.map((message) => message.message)).toEqual(['welcome', 'leave'])
  })

  it('a database that is away, a lease that is lost and a daemon that stands by put a manager off', async () => {
    const identity = await linked.seedHost('h1')
    const refusal = async () => {
      const manager = linked.dial(identity)
      manager.say(aHello())
      const { refused } = await manager.hears('refused')
      await eventually(() => manager.ended !== undefined)
      return refused
    }
    linked.setAway(true)
    expect(await refusal()).toEqual({ code: 'unavailable', message: 'database-unavailable' })
    linked.setAway(false)
    // The daemon does not know yet that another has taken over.
    linked.fence = 77
    expect((await refusal()).code).toBe('unavailable')
    linked.fence = undefined
    expect((await refusal()).code).toBe('unavailable')
  })

  it('the second stream of a host replaces the first, and its word counts', async () => {
    const identity = await linked.seedHost('h1')
    const first = await linked.connect(identity, { agents: [anAgentState({ agentId: 'a1' })] })
    const second = await linked.connect(identity, { agents: [anAgentState({ agentId: 'a2' })] })
    await eventually(() => first.ended !== undefined)
    expect(first.ended).toContain('took over')
    expect(linked.link.isConnected('h1')).toBe(true)
    expect(linked.wakes.filter((cause) => cause.kind === 'manager' && cause.what === 'disconnected')).toEqual(
      [],
    )
    first.say({ message: 'report', report: { agents: [anAgentState({ agentId: 'a3' })] } })
    second.say({ message: 'report', report: { agents: [anAgentState({ agentId: 'a4' })] } })
    await linked.becomes(() => linked.agentStatus('a4'), 'WAITING')
    const rows = await fleet.sql('select id from fleet.agents order by id')
    expect(rows.map((row): unknown => row['id'])).toEqual(['a2', 'a4'])
    // The end of the first is not told after the beginning of the second.
    expect((await backend('h1'))['connected_at']).not.toBeNull()
  })

  it('many streams of one host at once leave exactly one', async () => {
    const identity = await linked.seedHost('h1')
    // No more than one certificate may have connections at once.
    const managers = Array.from({ length: 8 }, () => linked.dial(identity))
    for (const manager of managers) manager.say(aHello())
    await eventually(
      () =>
        managers.filter((manager) => manager.ended === undefined).length === 1 &&
        linked.link.isConnected('h1'),
    )
    const last = managers.find((manager) => manager.ended === undefined)
    await eventually(() => last?.all('welcome').length === 1)
  })

  it('who does not begin with Hello is cut off', async () => {
    const manager = linked.dial(await linked.seedHost('h1'))
    manager.say({ message: 'drained', drained: {} })
    await eventually(() => manager.ended?.includes('Hello'))
  })

  it('a port in use is named, with the setting to change', async () => {
    const other = await linkedFleet(fleet)
    await other.link.stop()
    const failure = await other.link.start(linked.link.port!).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(MusterError)
    expect(failure).toMatchObject({ code: 'port-in-use' })
    expect(String(failure)).toContain('MUSTER_MANAGER_PORT')
    // And the link can be started again elsewhere.
    await other.link.start(0)
    await other.stop()
  })

  it('stopping ends every stream, flushes the heartbeats and says who is gone', async () => {
    const manager = await linked.connect(await linked.seedHost('h1', { heartbeat_at: null }))
    await fleet.sql(`update fleet.hosts set heartbeat_at = '2026-01-01'`)
    await fleet.sql(`update fleet.backends set last_seen_at = '2026-01-01'`)
    const [{ revision: before }] = (await fleet.sql('select revision from fleet.hosts')) as [
      { revision: number },
    ]
    manager.say({ message: 'heartbeat', heartbeat: { capacity: 2 } })
    const welcomedAt = linked.link.lastHeard('h1')!
    await eventually(() => linked.link.lastHeard('h1')! >= welcomedAt)
    await linked.link.stop()
    await eventually(() => manager.ended !== undefined)
    const [row] = await fleet.sql('select heartbeat_at, revision from fleet.hosts')
    expect((row!['heartbeat_at'] as Date).getTime()).toBeGreaterThanOrEqual(welcomedAt)
    expect(row!['revision']).toBe(before)
    const { last_seen_at: lastSeen, connected_at: connectedAt } = await backend('h1')
    expect((lastSeen as Date).getTime()).toBeGreaterThanOrEqual(welcomedAt)
    expect(connectedAt).toBeNull()
  })
})
