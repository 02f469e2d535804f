import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'

import { eventually } from '../../support/eventually.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import { anAgentState } from '../../support/scripted-manager.ts'
import type { LinkedFleet } from './linked-fleet.ts'
import { linkedFleet } from './linked-fleet.ts'

describeOnPostgres('the daemon and a manager', () => {
  let fleet: FleetDatabase
  let linked: LinkedFleet
  beforeAll(async () => {
    fleet = await fleetDatabase()
    await fleet.seedRegion('local/demo', { max_agents_per_user: 10 })
  })
  beforeEach(async () => {
    linked = await linkedFleet(fleet)
    await linked.refresh()
  })
  afterEach(async () => {
    await linked.stop()
    await fleet.sql('delete from fleet.backends')
    await fleet.sql('delete from fleet.hosts')
    await fleet.sql('delete from fleet.assignments')
  })
  afterAll(() => fleet.close())

  const twoAgents = { agents: [anAgentState({ agentId: 'a1' }), anAgentState({ agentId: 'a2', port: 4001 })] }
  const allocate = (agentId: string, sessionId: string) =>
    fleet.sql(
      `update fleet.agents set status = 'ALLOCATED', user_id = 'u1', session_id = $2,
        user_slot = (select 1 + count(*) from fleet.agents where user_id = 'u1') where id = $1`,
      [agentId, sessionId],
    )
  const offer = (agentId: string, sessionId: string) => ({ agentId, sessionId, userId: 'u1' })
  const taken = (agentId: string, sessionId: string, error = '') =>
    ({ message: 'sessionTaken', sessionTaken: { agentId, sessionId, taken: error === '', error } }) as const
  const forever = () => new AbortController().signal

  it('a session is started before the mirror knows, and told to the database when taken', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    await allocate('a1', 's1')
    const answer = linked.link.startSession('h1', offer('a1', 's1'), forever())
    expect((await manager.hears('startSession')).startSession).toEqual(offer('a1', 's1'))
    manager.say(taken('a1', 's1'))
    expect(await answer).toEqual({ taken: true })
    await linked.becomes(() => linked.agentStatus('a1'), 'CONNECTING')
    expect(linked.mirror.host('h1')?.agents[0]).toMatchObject({ id: 'a1', status: 'CONNECTING' })
    // Asked again, it is known without asking.
    expect(await linked.link.startSession('h1', offer('a1', 's1'), forever())).toEqual({ taken: true })
    await linked.refresh()
    expect(manager.all('startSession')).toHaveLength(1)
  })

  it('a session that cannot be taken is answered with the reason', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    const refused = linked.link.startSession('h1', offer('a1', 's1'), forever())
    await manager.hears('startSession')
    manager.say(taken('a1', 's1', 'the agent did not answer in time'))
    expect(await refused).toEqual({ taken: false, error: 'the agent did not answer in time' })

    expect(await linked.link.startSession('h9', offer('a1', 's1'), forever())).toMatchObject({ taken: false })
    expect(await linked.link.startSession('h1', offer('a9', 's1'), forever())).toMatchObject({ taken: false })

    const abandoned = new AbortController()
    const waiting = linked.link.startSession('h1', offer('a2', 's2'), abandoned.signal)
    abandoned.abort()
    expect(await waiting).toMatchObject({ taken: false })

    const cut = linked.link.startSession('h1', offer('a2', 's2'), forever())
    manager.close()
    expect(await cut).toMatchObject({ taken: false })
  })

  it('a session that was allocated while nobody looked is started, once, and again on the next stream', async () => {
    const identity = await linked.seedHost('h1')
    const first = await linked.connect(identity, twoAgents)
    await allocate('a1', 's1')
    await linked.refresh()
    await linked.refresh()
    await first.hears('startSession')
    expect(first.all('startSession')).toHaveLength(1)
    const second = await linked.connect(identity, twoAgents)
    expect((await second.hears('startSession')).startSession).toEqual(offer('a1', 's1'))
    // A manager that refuses what nobody waits for: the agent is spent.
    second.say(taken('a1', 's1', 'no'))
    await linked.becomes(() => linked.agentStatus('a1'), 'DYING')
    await second.hears('stopAgent')

    const agents = [anAgentState({ agentId: 'a2', status: 'CONNECTING', sessionId: 's2' })]
    await allocate('a2', 's2')
    const third = await linked.connect(identity, { agents })
    await linked.becomes(() => linked.agentStatus('a2'), 'CONNECTING')
    expect(third.all('startSession')).toEqual([])
  })

  it('a DYING agent is stopped, and its row ends with it', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    await fleet.sql(`update fleet.agents set status = 'DYING' where id = 'a1'`)
    await linked.refresh()
    expect((await manager.hears('stopAgent')).stopAgent.agentId).toBe('a1')
    const report = (status: 'DYING' | 'GONE') =>
      manager.say({ message: 'report', report: { agents: [anAgentState({ agentId: 'a1', status })] } })
    report('DYING')
    report('GONE')
    await linked.becomes(() => linked.agentStatus('a1'), undefined)
    await eventually(() => linked.mirror.host('h1')?.agents.length === 1)
  })

  it('why a session failed is in its request’s row: told with the end of its agent, or by the next Hello', async () => {
    const ended = (agentId: string, failure: string) =>
      anAgentState({ agentId, status: 'GONE', sessionId: `s-${agentId}`, failure })
    const identity = await linked.seedHost('h1')
    const agents = ['a1', 'a2', 'a3'].map((agentId) => anAgentState({ agentId }))
    const first = await linked.connect(identity, { agents })
    for (const { agentId } of agents) {
      await allocate(agentId, `s-${agentId}`)
      await fleet.sql(
        `insert into fleet.assignments (id, user_id, region_id, outcome, agent_id, session_id)
          values ($1, 'u1', 'local/demo', 'assigned', $1, $2)`,
        [agentId, `s-${agentId}`],
      )
    }
    first.say({ message: 'report', report: { agents: [ended('a1', 'killed by SIGSEGV'), ended('a2', '')] } })
    await linked.becomes(() => linked.agentStatus('a2'), undefined)
    first.close()
    await linked.connect(identity, { agents: [ended('a3', 'exited with code 3')] })
    await linked.becomes(() => linked.agentStatus('a3'), undefined)
    expect(await fleet.sql('select agent_id, failure from fleet.assignments order by agent_id')).toEqual([
      { agent_id: 'a1', failure: 'killed by SIGSEGV' },
      { agent_id: 'a2', failure: null },
      { agent_id: 'a3', failure: 'exited with code 3' },
    ])
  })

  it('a host whose sessions are to be told of its drain says so to its manager, also later', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    await fleet.sql(`update fleet.hosts set status = 'DRAINING' where id = 'h1'`)
    await linked.refresh()
    await manager.hears('drain')
    await fleet.sql(`update fleet.hosts set notify_sessions = true where id = 'h1'`)
    await linked.refresh()
    await eventually(() => manager.all('drain').length === 2)
    expect(manager.all('drain').map(({ drain }) => drain.notifySessions)).toEqual([false, true])
  })

  it('a host that drains is told once a stream, takes no agents, and its Drained wakes the region', async () => {
    const identity = await linked.seedHost('h1')
    const manager = await linked.connect(identity, { agents: [anAgentState({ agentId: 'a1' })] })
    await fleet.sql(`update fleet.hosts set status = 'DRAINING' where id = 'h1'`)
    await linked.refresh()
    await manager.hears('drain')
    manager.say({ message: 'report', report: { agents: [anAgentState({ agentId: 'a3' })] } })
    await eventually(() => manager.all('stopAgent').some(({ stopAgent }) => stopAgent.agentId === 'a3'))
    expect(await linked.agentStatus('a3')).toBeUndefined()
    manager.say({ message: 'drained', drained: {} })
    await eventually(() => linked.wakes.some((cause) => cause.kind === 'manager' && cause.what === 'drained'))
    await linked.refresh()
    expect(manager.all('drain')).toHaveLength(1)
    const again = await linked.connect(identity)
    await again.hears('drain')

    await fleet.sql(`update fleet.hosts set status = 'TERMINATING' where id = 'h1'`)
    await linked.refresh()
    await again.hears('leave')
  })

  it('a host that ended while the mirror slept is told to leave, but not on the word of the mirror alone', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    linked.mirror.apply({}, { hosts: ['h1'] })
    await expect(eventually(() => manager.all('leave')[0], { timeoutMs: 200 })).rejects.toThrow()
    await fleet.sql(`update fleet.hosts set status = 'TERMINATING' where id = 'h1'`)
    await fleet.sql(`update fleet.hosts set status = 'TERMINATED' where id = 'h1'`)
    linked.mirror.apply({ regions: [{ ...linked.mirror.snapshot('local/demo')!.region, revision: 1_000 }] })
    await manager.hears('leave')
  })

  it('capacity and life are told by heartbeats: a change is written, an UNRESPONSIVE host comes back', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    manager.say({ message: 'heartbeat', heartbeat: { capacity: 1 } })
    await eventually(() => linked.mirror.host('h1')?.capacity === 1)
    await fleet.sql(`update fleet.hosts set status = 'UNRESPONSIVE' where id = 'h1'`)
    await linked.refresh()
    manager.say({ message: 'heartbeat', heartbeat: { capacity: 1 } })
    await linked.becomes(() => linked.hostStatus('h1'), 'ACTIVE')
    const [before] = await fleet.sql('select revision from fleet.hosts')
    manager.say({ message: 'heartbeat', heartbeat: { capacity: 1 } })
    manager.say({ message: 'drained', drained: {} })
    await eventually(() => linked.wakes.some((cause) => cause.kind === 'manager' && cause.what === 'drained'))
    expect(await fleet.sql('select revision from fleet.hosts')).toEqual([before])
  })

  it('what is reported while the database is away is kept, and written when it is back', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    await allocate('a1', 's1')
    await linked.refresh()
    await manager.hears('startSession')
    linked.setAway(true)
    manager.say(taken('a1', 's1'))
    manager.say({
      message: 'report',
      report: {
        agents: [
          anAgentState({ agentId: 'a1', status: 'RUNNING', sessionId: 's1' }),
          anAgentState({ agentId: 'a2', status: 'GONE' }),
          anAgentState({ agentId: 'a3', port: 4002 }),
        ],
      },
    })
    manager.say({ message: 'drained', drained: {} })
    await eventually(() => linked.wakes.some((cause) => cause.kind === 'manager' && cause.what === 'drained'))
    expect(manager.ended).toBeUndefined()
    expect(linked.link.isConnected('h1')).toBe(true)
    linked.setAway(false)
    await linked.becomes(() => linked.agentStatus('a3'), 'WAITING')
    const rows = await fleet.sql('select id, status from fleet.agents order by id')
    expect(rows).toEqual([
      { id: 'a1', status: 'RUNNING' },
      { id: 'a3', status: 'WAITING' },
    ])
    expect(manager.all('stopAgent')).toEqual([])
  })

  it('a thousand reports cost few writes, in order, and nothing goes back', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    await allocate('a1', 's1')
    const [{ n: before }] = (await fleet.sql('select count(*)::int as n from fleet.changes')) as [
      { n: number },
    ]
    for (let round = 0; round < 250; round += 1) {
      for (const status of ['CONNECTING', 'RUNNING', 'CONNECTING', 'WAITING'] as const) {
        manager.say({ message: 'report', report: { agents: [anAgentState({ agentId: 'a1', status })] } })
      }
    }
    manager.say({ message: 'report', report: { agents: [anAgentState({ agentId: 'last' })] } })
    await linked.becomes(() => linked.agentStatus('last'), 'WAITING')
    expect(await linked.agentStatus('a1')).toBe('RUNNING')
    const [{ n: after }] = (await fleet.sql('select count(*)::int as n from fleet.changes')) as [
      { n: number },
    ]
    expect(after - before).toBeLessThanOrEqual(3)
  })

  const noon = Date.UTC(2026, 10, 21, 12)
  const takes = (kind: 'INTERRUPTION' | 'REBALANCE', at = noon) =>
    ({ message: 'interruption', interruption: { kind, action: 'terminate', at } }) as const
  const rowOf = async (id: string) => (await fleet.sql('select * from fleet.hosts where id = $1', [id]))[0]!

  it('a host whose provider ends it is fenced at once, and told so in turn; said again, nothing is written', async () => {
    const identity = await linked.seedHost('h1')
    const manager = await linked.connect(identity, twoAgents)
    manager.say(takes('REBALANCE'))
    manager.say(takes('INTERRUPTION'))
    await linked.becomes(() => linked.hostStatus('h1'), 'DRAINING')
    expect(linked.mirror.host('h1')).toMatchObject({
      status: 'DRAINING',
      interruptionAt: noon,
      rebalanceAdvisedAt: noon,
    })
    expect(linked.wakes).toContainEqual({ kind: 'manager', what: 'interrupted' })
    expect((await manager.hears('interruption')).interruption.at).toBe(noon)
    await manager.hears('drain')
    const { revision } = await rowOf('h1')
    const wakes = linked.wakes.length
    const again = await linked.connect(identity, twoAgents)
    again.say(takes('INTERRUPTION'))
    again.say(takes('INTERRUPTION', noon - 1000))
    await eventually(async () => ((await rowOf('h1'))['interruption_at'] as Date).getTime() === noon - 1000)
    expect((await rowOf('h1'))['revision']).toBe((revision as number) + 1)
    expect(
      linked.wakes.slice(wakes).filter((wake) => wake.kind === 'manager' && wake.what === 'interrupted'),
    ).toHaveLength(1)
  })

  it('a notice that comes while the database is away is kept, and stored before all else', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'), twoAgents)
    linked.setAway(true)
    manager.say(takes('INTERRUPTION', 0))
    manager.say(takes('INTERRUPTION', noon + 1000))
    manager.say(takes('INTERRUPTION'))
    manager.say({ message: 'report', report: { agents: [anAgentState({ agentId: 'a1', status: 'GONE' })] } })
    await eventually(() => linked.link.lastHeard('h1') !== undefined)
    linked.setAway(false)
    await linked.becomes(() => linked.agentStatus('a1'), undefined)
    expect(await rowOf('h1')).toMatchObject({ status: 'DRAINING', interruption_at: new Date(noon) })
  })
})
