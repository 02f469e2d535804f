import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'

import { MusterError } from '../../../src/model/errors.ts'
import { eventually } from '../../support/eventually.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import { aHello, aHostKey, anAgentState, hashOf } from '../../support/scripted-manager.ts'
import type { LinkedFleet } from './linked-fleet.ts'
import { fleetKey, linkedFleet } from './linked-fleet.ts'

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
    await fleet.sql('delete from fleet.hosts')
  })
  afterAll(() => fleet.close())

  const launched = { status: 'LAUNCHING', launch_id: 'L1', address: null }
  const ofLaunch = { launchId: 'L1', fleetKey }

  it('a launch token enrols a host once, and from then on its key is enough', async () => {
    await fleet.seedHosts(['h1'], launched)
    const hostKey = aHostKey()
    const first = linked.dial()
    first.say(aHello({ ...ofLaunch, hostKey, cloudId: 'm1', agents: [anAgentState({ agentId: 'a1' })] }))
    expect((await first.hears('welcome')).welcome).toEqual({ hostId: 'h1', heartbeatIntervalMs: 1_000 })
    const [row] = await fleet.sql('select * from fleet.hosts')
    expect(row).toMatchObject({ status: 'ACTIVE', cloud_id: 'm1', manager_key_hash: hashOf(hostKey) })
    expect(await linked.agentStatus('a1')).toBe('WAITING')
    expect(linked.mirror.host('h1')).toMatchObject({ status: 'ACTIVE', waitingAgents: 1 })
    expect(linked.wakes).toContainEqual({ kind: 'manager', what: 'connected' })
    first.close()
    await eventually(() => !linked.link.isConnected('h1'))
    expect(linked.wakes).toContainEqual({ kind: 'manager', what: 'disconnected' })

    await linked.connect(hostKey, { hostId: 'h1' })
    expect(linked.link.isConnected('h1')).toBe(true)
    // What the second Hello did not list is gone.
    expect(await linked.agentStatus('a1')).toBeUndefined()
    expect(linked.mirror.host('h1')?.agents).toEqual([])
  })

  it.each([
    ['a key that nobody knows, without a token', { launchId: 'L1', cloudId: 'm1' }],
    ['the token of another launch', { launchId: 'L1', cloudId: 'm1', enrolmentToken: 'a'.repeat(64) }],
    ['a token of another fleet', { launchId: 'L1', cloudId: 'm1', fleetKey: 'another fleet' }],
    ['a launch without a machine', { launchId: 'L1', fleetKey }],
    ['a launch without a row to spare', { launchId: 'L2', fleetKey, cloudId: 'm1' }],
    ['a malformed key', { ...ofLaunch, cloudId: 'm1', hostKey: 'short' }],
    ['no address', { ...ofLaunch, cloudId: 'm1', address: '' }],
    ['an absurd capacity', { ...ofLaunch, cloudId: 'm1', capacity: 100_000 }],
  ])('%s is unauthorized, and the stream is closed', async (_, hello) => {
    await fleet.seedHosts(['h1'], launched)
    const manager = linked.dial()
    manager.say(aHello(hello))
    expect((await manager.hears('refused')).refused.code).toBe('unauthorized')
    await eventually(() => manager.ended !== undefined)
    expect(await linked.hostStatus('h1')).toBe('LAUNCHING')
  })

  it('a machine that is enrolled does not take another key', async () => {
    await fleet.seedHosts(['h1'], launched)
    const first = linked.dial()
    first.say(aHello({ ...ofLaunch, cloudId: 'm1' }))
    await first.hears('welcome')
    const thief = linked.dial()
    thief.say(aHello({ ...ofLaunch, cloudId: 'm1' }))
    expect((await thief.hears('refused')).refused.code).toBe('unauthorized')
    expect(linked.link.isConnected('h1')).toBe(true)
  })

  it('a host that has ended is refused for ever', async () => {
    const hostKey = await linked.seedHost('h1', { status: 'TERMINATED' })
    const manager = linked.dial()
    manager.say(aHello({ hostKey }))
    expect((await manager.hears('refused')).refused.code).toBe('unauthorized')
  })

  it('a host that is ending is welcomed, and told to leave', async () => {
    const hostKey = await linked.seedHost('h1', { status: 'TERMINATING' })
    const manager = await linked.connect(hostKey)
    await manager.hears('leave')
    expect(manager.heard.map((message) => message.message)).toEqual(['welcome', 'leave'])
  })

  it('a database that is away, a lease that is lost and a daemon that stands by put a manager off', async () => {
    const hostKey = await linked.seedHost('h1')
    const refusal = async () => {
      const manager = linked.dial()
      manager.say(aHello({ hostKey }))
      const { refused } = await manager.hears('refused')
      await eventually(() => manager.ended !== undefined)
      return refused
    }
    linked.store.isAway = true
    expect(await refusal()).toEqual({ code: 'unavailable', message: 'database-unavailable' })
    linked.store.isAway = false
    // The daemon does not know yet that another has taken over.
    linked.fence = 77
    expect((await refusal()).code).toBe('unavailable')
    await fleet.seedHosts(['h2'], launched)
    const newcomer = linked.dial()
    newcomer.say(aHello({ ...ofLaunch, cloudId: 'm2' }))
    expect((await newcomer.hears('refused')).refused.code).toBe('unavailable')
    linked.fence = undefined
    expect((await refusal()).code).toBe('unavailable')
  })

  it('the second stream of a host replaces the first, and its word counts', async () => {
    const hostKey = await linked.seedHost('h1')
    const first = await linked.connect(hostKey, { agents: [anAgentState({ agentId: 'a1' })] })
    const second = await linked.connect(hostKey, { agents: [anAgentState({ agentId: 'a2' })] })
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
  })

  it('many streams of one host at once leave exactly one', async () => {
    const hostKey = await linked.seedHost('h1')
    const managers = Array.from({ length: 10 }, () => linked.dial())
    for (const manager of managers) manager.say(aHello({ hostKey }))
    await eventually(
      () =>
        managers.filter((manager) => manager.ended === undefined).length === 1 &&
        linked.link.isConnected('h1'),
    )
    expect(managers.filter((manager) => manager.ended === undefined)[0]?.all('welcome')).toHaveLength(1)
  })

  it('who does not begin with Hello is cut off', async () => {
    const manager = linked.dial()
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

  it('stopping ends every stream and flushes the heartbeats', async () => {
    const hostKey = await linked.seedHost('h1', { heartbeat_at: null })
    const manager = await linked.connect(hostKey)
    await fleet.sql(`update fleet.hosts set heartbeat_at = '2026-01-01'`)
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
  })
})
