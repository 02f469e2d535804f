import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { algorithms } from '../../../scaling-algorithms/index.ts'
import type { AlgorithmDecision, Decision } from '../../../src/model/decision.ts'
import type { ScalingAlgorithm } from '../../../src/model/scaling-algorithm.ts'
import type { RegionSnapshot } from '../../../src/model/snapshot.ts'
import type { TurnInput } from '../../../src/reconcile/plan-turn.ts'
import { planTurn } from '../../../src/reconcile/plan-turn.ts'
import { someEvent, someSnapshot } from '../../support/arbitraries.ts'
import { deepFreeze } from '../../support/deep-freeze.ts'
import { expectPlan } from '../../support/expect-plan.ts'
import { aBlock, aHost, anEvent, aRegion, aSnapshot, aTick, now } from '../../support/factories.ts'

const anAlgorithm = (plan: (snapshot: RegionSnapshot) => unknown): ScalingAlgorithm => ({
  ...algorithms.default,
  name: 'outside',
  plan: (snapshot) => plan(snapshot) as AlgorithmDecision[],
})
const idle = anAlgorithm(() => [])

function turn(snapshot: RegionSnapshot, changes: Partial<TurnInput> = {}) {
  return planTurn({ snapshot, event: aTick, algorithm: idle, options: {}, ...changes })
}
const withDefault = (snapshot: RegionSnapshot) =>
  turn(snapshot, { algorithm: algorithms.default, options: { idle_seconds: 0 } })

describe('a launch', () => {
  const { decisions, plan } = withDefault(aSnapshot({ hosts: [aHost()] }))

  it('becomes LAUNCHING rows and an action with its exact parameters', () => {
    expectPlan(decisions).launches(1).andNothingElse()
    expect(plan).toMatchObject({
      decisions: [{ place: 0, kind: 'launch', target: null, reason: decisions[0]!.reason }],
      actions: [
        {
          place: 0,
          kind: 'launch',
          target: null,
          params: {
            image: 'ami-2',
            version: '2.0.0',
            count: 1,
            instanceTypes: ['small', 'large'],
            agentsPerHost: 2,
          },
        },
      ],
      hosts: [{ place: 0, image_id: 'image-2', version: '2.0.0', instance_type: 'small', capacity: 2 }],
      host_updates: [],
      agent_updates: [],
    })
  })

  it('names its hosts after region, turn, place and index: the same turn the same ids, another turn others', () => {
    const ids = (changes: Parameters<typeof aRegion>[0]) =>
      withDefault(aSnapshot({ region: { targetFreeAgents: 6, ...changes } })).plan!.hosts.map(
        (host) => host.id,
      )
    expect(ids({})).toEqual(ids({}))
    for (const id of ids({})) expect(id).toMatch(/^h-[0-9a-f]{12}$/)
    const all = [...ids({}), ...ids({ turn: 8 }), ...ids({ id: 'test/two' })]
    expect(new Set(all).size).toBe(9)
  })

  it('of more than 50 hosts is several, each with its own place', () => {
    const big = aSnapshot({ region: { maxHosts: 500, targetFreeAgents: 240 } })
    const { plan: parts } = withDefault(big)
    expect(parts!.actions.map(({ place, params }) => [place, (params as { count: number }).count])).toEqual([
      [0, 50],
      [1, 50],
      [2, 20],
    ])
    expect(new Set(parts!.hosts.map((host) => host.id)).size).toBe(120)
    expect(parts!.decisions[2]!.reason).toMatch(/: 120 hosts of 2 agents \(part 3 of 3\)$/)
  })
})

describe('what decisions become', () => {
  it('a drain is an update of the status that was seen, and only while the host is idle', () => {
    const { plan } = withDefault(aSnapshot({ hosts: ['h1', 'h2', 'h3'].map((id) => aHost({ id })) }))
    const { reason } = plan!.decisions[0]!
    expect(plan!.host_updates).toEqual([
      { id: 'h1', place: 0, from: ['ACTIVE'], to: 'DRAINING', reason, idle: true },
    ])
    expect(plan!.actions).toEqual([])
  })

  it('the end of a drained host is an update and an action, and spares a session that came by then', () => {
    const { plan } = turn(aSnapshot({ hosts: [aHost({ status: 'DRAINING', reason: 'spare' })] }))
    const reason = 'drained (spare); no session is left'
    expect(plan).toMatchObject({
      decisions: [{ place: 0, kind: 'terminate', target: 'h1', reason }],
      host_updates: [{ id: 'h1', place: 0, from: ['DRAINING'], to: 'TERMINATING', reason, idle: true }],
      actions: [{ place: 0, kind: 'terminate', target: 'h1', params: {} }],
    })
  })

  it('a forced end does not spare sessions', () => {
    const host = aHost({ status: 'DRAINING', agents: ['RUNNING'], statusSince: now - 3_600_000 })
    const deadlines = { ...aRegion().deadlines, force_drain: true }
    const { plan } = turn(aSnapshot({ hosts: [host], region: { deadlines } }))
    expect(plan!.host_updates).toMatchObject([{ id: 'h1', to: 'TERMINATING' }])
    expect(plan!.host_updates[0]).not.toHaveProperty('idle')
  })

  it('a suspicion and the end of an agent are updates of what was seen', () => {
    const agents = [{ status: 'CONNECTING', statusSince: now - 60_000 } as const]
    const { plan } = turn(aSnapshot({ hosts: [aHost({ heardAt: now - 15_000, agents })] }))
    expect(plan!.host_updates).toMatchObject([{ id: 'h1', place: 0, from: ['ACTIVE'], to: 'UNRESPONSIVE' }])
    expect(plan!.agent_updates).toEqual([
      { id: 'h1-a1', place: 1, from: ['CONNECTING'], to: 'DYING', failure: 'never-ran' },
    ])
    expect(plan!.decisions[1]).toMatchObject({ kind: 'end-agent', target: 'h1-a1' })
  })

  it('a host that never connected counts as a failed launch, and holds back its replacement', () => {
    const hosts = [aHost({ status: 'PRE_CONNECTION', statusSince: now - 300_000 })]
    const { decisions, plan, nextDeadline } = withDefault(
      aSnapshot({ hosts, region: { targetFreeAgents: 2 } }),
    )
    expectPlan(decisions)
      .terminates('h1')
      .refuses(/held back for now because never-connected: its manager did not connect within 300 s/)
      .andNothingElse()
    expect(plan!.launch_failed).toEqual({
      code: 'never-connected',
      message: 'its manager did not connect within 300 s',
    })
    expect(nextDeadline).toBe(now + 1_000)
  })

  it('reports and refusals are said, no more', () => {
    const { plan } = withDefault(
      aSnapshot({
        hosts: [aHost({ status: 'LAUNCHING', statusSince: now - 300_000 })],
        region: { maxHosts: 1 },
      }),
    )
    expect(plan!.decisions.map((decision) => decision.kind)).toEqual(['report', 'refuse'])
    expect(plan).toMatchObject({ actions: [], hosts: [], host_updates: [], agent_updates: [] })
  })

  it('a turn with nothing to say stores nothing, and tells when to look again', () => {
    const hosts = [aHost(), aHost({ id: 'h2', heardAt: now - 3_000 })]
    expect(withDefault(aSnapshot({ hosts }))).toEqual({
      decisions: [],
      plan: undefined,
      held: [],
      switches: [],
      nextDeadline: now + 12_000,
    })
  })

  it('keeps what it was decided from', () => {
    const event = anEvent({ kind: 'manager', what: 'disconnected' })
    const { plan } = turn(aSnapshot({ waitingUsers: 2 }), {
      event,
      algorithm: algorithms.default,
      options: { idle_seconds: 0 },
    })
    expect(plan!.causes).toEqual(event.causes)
    expect(plan!.inputs).toMatchObject({
      algorithm: 'default',
      options: { idle_seconds: 0 },
      counts: { hosts: { ACTIVE: 0 }, free: 0, coming: 0, live: 0, waiting: 2 },
      target_free_agents: 4,
      image_id: 'image-2',
    })
    expect(plan!.inputs).not.toHaveProperty('blocked_offerings')
  })

  it('keeps what was blocked, those that end first by name, and how many more', () => {
    const blocks = Array.from({ length: 22 }, (_, index) =>
      aBlock({ zone: `z${index}`, until: now + 22 - index }),
    )
    const { plan } = withDefault(aSnapshot({ blockedOfferings: [...blocks, aBlock({ until: now })] }))
    const named = plan!.inputs['blocked_offerings'] as string[]
    expect(named).toHaveLength(21)
    expect([named[0], named.at(-1)]).toEqual(['small z21 on-demand: insufficient-capacity', 'and 2 more'])
  })
})

describe('upkeep and algorithm in one turn', () => {
  it('replace a silent host at once', () => {
    const hosts = [aHost(), aHost({ id: 'h2', heardAt: now - 15_000 })]
    expectPlan(withDefault(aSnapshot({ hosts })).decisions)
      .suspects('h2')
      .launches(1)
      .andNothingElse()
  })

  it('do not decide the same host twice', () => {
    const hosts = [aHost({ id: 'h1', heardAt: now - 15_000 })]
    const drains = anAlgorithm(() => [{ kind: 'drain', hostId: 'h1', reason: 'spare' }])
    expectPlan(turn(aSnapshot({ hosts }), { algorithm: drains }).decisions)
      .suspects('h1')
      .refuses(/this turn has decided it already/)
      .andNothingElse()
  })
})

describe('what the sweep found', () => {
  const gone = { kind: 'host-gone', hostId: 'h1', reason: 'not listed' } as const

  it('ends a lost host with an action that closes its row, and replaces it', () => {
    const { decisions, plan } = turn(aSnapshot({ hosts: [aHost({ heardAt: now - 15_000 })] }), {
      sweep: [gone],
      algorithm: algorithms.default,
      options: { idle_seconds: 0 },
    })
    expect(decisions.map((decision) => decision.kind)).toEqual(['host-gone', 'launch'])
    expect(plan!.host_updates).toEqual([
      { id: 'h1', place: 0, from: ['ACTIVE'], to: 'TERMINATING', reason: 'not listed' },
    ])
    expect(plan!.actions[0]).toEqual({ place: 0, kind: 'terminate', target: 'h1', params: {} })
  })

  it('clears an orphan by an action', () => {
    const { plan } = turn(aSnapshot(), { sweep: [{ kind: 'clear-orphan', cloudId: 'm1', reason: 'orphan' }] })
    expect(plan).toMatchObject({
      decisions: [{ kind: 'clear-orphan', target: 'm1' }],
      actions: [{ place: 0, kind: 'clear-orphan', target: 'm1', params: {} }],
      host_updates: [],
    })
  })

  it('is dropped where the row has moved on', () => {
    expect(turn(aSnapshot(), { sweep: [gone] }).plan).toBeUndefined()
    const hosts = [aHost({ status: 'TERMINATING' })]
    expect(turn(aSnapshot({ hosts }), { sweep: [gone] }).plan).toBeUndefined()
  })

  it('gives a TERMINATING row the action that it lacks, without touching the row', () => {
    const hosts = [aHost({ status: 'TERMINATING' })]
    const sweep = [{ kind: 'terminate', hostId: 'h1', reason: 'nothing ends it' }] as const
    expect(turn(aSnapshot({ hosts }), { sweep }).plan).toMatchObject({
      host_updates: [],
      actions: [{ kind: 'terminate', target: 'h1' }],
    })
  })
})

describe('an algorithm that misbehaves', () => {
  const silent = aSnapshot({ hosts: [aHost({ heardAt: now - 15_000 })] })
  const said = (algorithm: TurnInput['algorithm']) => {
    const { decisions } = turn(silent, { algorithm })
    expect(decisions.map((decision) => decision.kind)).toEqual(['suspect', 'refuse'])
    return decisions[1]!.reason
  }
  const throwing = (thrown: unknown) =>
    anAlgorithm(() => {
      throw thrown
    })

  it('cannot take hosts out of the snapshot that the mirror goes on sharing', () => {
    const snapshot = aSnapshot({ hosts: [aHost({ id: 'h1' }), aHost({ id: 'h2' })] })
    const careless = anAlgorithm(({ hosts }) => (hosts as unknown[]).splice(0))
    expectPlan(turn(snapshot, { algorithm: careless }).decisions).refuses(/^algorithm outside threw/)
    expect(snapshot.hosts).toHaveLength(2)
  })

  it('and throws is refused, and upkeep goes on', () => {
    expect(said(throwing(new Error('division by zero')))).toBe('algorithm outside threw: division by zero')
    expect(said(throwing(undefined))).toBe('algorithm outside threw: undefined')
    expect(said(throwing(Object.create(null)))).toBe(
      'algorithm outside threw: something that cannot be shown',
    )
    expect(said(throwing(new Error(`${'x'.repeat(5_000)}\u0000`))).length).toBeLessThan(400)
  })

  it('and gives a promise is refused, also when that is rejected', () => {
    expect(said(anAlgorithm(() => Promise.reject(new Error('late'))))).toMatch(/an object, not a list/)
  })

  it('and could not be loaded is named with its fault', () => {
    expect(said({ name: './mine.ts', fault: 'it is not there' })).toBe(
      'algorithm ./mine.ts cannot be used: it is not there',
    )
  })

  it('and refuses one thing in many ways is one refusal for each target', () => {
    const refuse = (target: string | null, reason: string) => ({ kind: 'refuse', target, reason })
    const plan = [refuse(null, 'a'), refuse('h1', 'b'), null, refuse(null, 'a'), { kind: 'launch', count: 0 }]
    const { decisions } = turn(aSnapshot(), { algorithm: anAlgorithm(() => plan) })
    expect(decisions.map((decision) => (decision.kind === 'refuse' ? decision.target : ''))).toEqual([
      null,
      'h1',
    ])
    expect(decisions[0]!.reason).toMatch(/^a; guard: malformed decision: null is no object; guard: /)
  })

  it('and gives a thousand faults is refused in bounded words', () => {
    const plan = Array.from({ length: 900 }, (_, index) => ({
      kind: 'drain',
      hostId: 'h1',
      reason: `reason ${index}`,
    }))
    const { decisions } = turn(aSnapshot(), { algorithm: anAlgorithm(() => plan) })
    expect(decisions).toHaveLength(1)
    expect(decisions[0]!.reason.length).toBeLessThan(2_100)
  })
})

describe('a host whose provider ends it', () => {
  it('becomes TERMINATING with its action at the time of the notice, whoever came or went since', () => {
    for (const agents of [[], ['RUNNING']] as const) {
      const host = aHost({ status: 'DRAINING', interruptionAt: now, agents, protected: true })
      expect(turn(aSnapshot({ hosts: [host] })).plan).toMatchObject({
        actions: [{ place: 0, kind: 'terminate', target: 'h1' }],
        host_updates: [expect.not.objectContaining({ idle: true })],
      })
    }
    const waiting = aHost({ status: 'DRAINING', interruptionAt: now + 5, agents: ['RUNNING'], heardAt: now })
    expect(turn(aSnapshot({ hosts: [waiting] }))).toMatchObject({ plan: undefined, nextDeadline: now + 5 })
  })
})

describe('every turn', () => {
  const rowsOf = (decisions: readonly Decision[], kinds: readonly string[]) =>
    decisions.flatMap((decision, place) => (kinds.includes(decision.kind) ? [place] : []))

  it('is plain JSON, the same for the same snapshot, and ties each row and action to its decision', () => {
    fc.assert(
      fc.property(someSnapshot, someEvent, (snapshot, event) => {
        const input = { snapshot, event, algorithm: algorithms.default, options: { idle_seconds: 0 } }
        deepFreeze(snapshot)
        const isBusy = (id: string) => snapshot.hosts.some((host) => host.id === id && host.liveAgents > 0)
        const planned = planTurn(input)
        expect(planTurn({ ...input, snapshot: structuredClone(snapshot) })).toEqual(planned)
        const { decisions, plan, nextDeadline } = planned
        if (nextDeadline !== undefined) expect(nextDeadline).toBeGreaterThan(snapshot.now)
        expect(plan === undefined).toBe(decisions.length === 0)
        if (plan === undefined) return
        expect(JSON.parse(JSON.stringify(plan))).toStrictEqual(plan)
        expect(plan.decisions.map(({ place }) => place)).toEqual(decisions.map((_, place) => place))
        expect(plan.actions.map(({ place }) => place)).toEqual(
          rowsOf(decisions, ['launch', 'replace', 'terminate']),
        )
        expect(plan.host_updates.map(({ place }) => place)).toEqual(
          rowsOf(decisions, ['drain', 'terminate', 'suspect']),
        )
        expect(plan.agent_updates.map(({ place }) => place)).toEqual(rowsOf(decisions, ['end-agent']))
        const busy = plan.host_updates.filter(
          ({ id, to, idle }) => to !== 'UNRESPONSIVE' && idle !== true && isBusy(id),
        )
        for (const { place } of busy) {
          const decision = decisions[place]!
          const isMeant = 'withSessions' in decision || 'involuntary' in decision
          expect(isMeant || snapshot.region.deadlines.force_drain).toBe(true)
        }
        const refused = plan.decisions.filter(({ kind }) => kind === 'refuse').map(({ target }) => target)
        expect(new Set(refused).size).toBe(refused.length)
      }),
      { numRuns: 1000 },
    )
  })
})
