/** Random plans of a turn, of what the rows hold at the moment. */
import fc from 'fast-check'

import type { AgentStatus } from '../../src/model/agent.ts'
import { agentStatuses } from '../../src/model/agent.ts'
import type { HostStatus } from '../../src/model/host.ts'
import { hostStatuses } from '../../src/model/host.ts'
import type { MemoryDatabase } from '../../src/store/memory/memory-database.ts'
import type { TurnPlan } from '../../src/store/turn-plan.ts'
import { imageId, regionId } from './store-sides.ts'

export const one = fc.nat(9)
export const chance = fc.nat(99)

export const ids = (rows: readonly { readonly id: string }[]) => rows.map((row) => row.id)
export const pick = (from: readonly string[], place: number): string =>
  from[place % Math.max(1, from.length)] ?? 'nobody'
export const hostIds = (db: MemoryDatabase) => ids(db.hosts.where(() => true))
export const agentIds = (db: MemoryDatabase) => ids(db.agents.where(() => true))
/** Of hosts, the seeded one first. */
export const imageIds = (db: MemoryDatabase) => [
  imageId,
  ...ids(db.images.where((image) => image.regionId === regionId && image.id !== imageId)),
]
export const rolloutIds = (db: MemoryDatabase) => ids(db.rollouts.where(() => true))
export const actionIds = (db: MemoryDatabase) => ids(db.actions.where(() => true))

export interface PlanDraw {
  readonly launches: readonly number[]
  readonly hosts: readonly (readonly [host: number, to: number, isStale: number, isIdle: boolean])[]
  readonly agents: readonly (readonly [agent: number, to: number])[]
  readonly words: readonly (readonly [kind: 'refuse' | 'report' | 'drain', target: number, words: number])[]
  readonly failed: number
  readonly surge: number
  readonly isTwin: boolean
  /** Of the region's images, the one that is launched. */
  readonly image: number
}

export const somePlan: fc.Arbitrary<PlanDraw> = fc.record({
  launches: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  hosts: fc.array(fc.tuple(one, fc.nat(hostStatuses.length - 1), chance, fc.boolean()), { maxLength: 2 }),
  agents: fc.array(fc.tuple(one, fc.nat(agentStatuses.length - 1)), { maxLength: 2 }),
  words: fc.array(fc.tuple(fc.constantFrom('refuse', 'refuse', 'report', 'drain'), fc.nat(1), fc.nat(1)), {
    maxLength: 2,
  }),
  failed: chance,
  surge: fc.nat(2),
  isTwin: chance.map((luck) => luck < 5),
  image: fc.nat(3),
})

/** Only words: what may be a repeat. */
export const someWords: fc.Arbitrary<PlanDraw> = fc.record({
  launches: fc.constant([]),
  hosts: fc.constant([]),
  agents: fc.constant([]),
  words: fc.array(fc.tuple(fc.constantFrom('refuse', 'report'), fc.nat(1), fc.nat(1)), { maxLength: 2 }),
  failed: fc.constant(99),
  surge: fc.constant(0),
  isTwin: fc.constant(false),
  image: fc.constant(0),
})

export function planOf(db: MemoryDatabase, draw: PlanDraw): TurnPlan {
  const turn = db.regions.get(regionId)?.turn ?? 0
  const decisions: TurnPlan['decisions'][number][] = []
  const decide = (kind: string, target: string | null, reason: string): number => {
    decisions.push({ place: decisions.length, kind, target, reason })
    return decisions.length - 1
  }
  const hosts: TurnPlan['hosts'][number][] = []
  const actions: TurnPlan['actions'][number][] = []
  for (const count of draw.launches) {
    const place = decide('launch', null, `launch ${count}`)
    const params = { image: 'v1', version: 'v1', count, instanceTypes: ['small'], agentsPerHost: 2 }
    actions.push({ place, kind: 'launch', target: null, params })
    for (let index = 0; index < count; index += 1) {
      const id = draw.isTwin
        ? pick(hostIds(db), index)
        : `h-${String(turn).padStart(3, '0')}-${place}-${index}`
      hosts.push({
        id,
        place,
        image_id: pick(imageIds(db), draw.image),
        version: 'v1',
        instance_type: 'small',
        capacity: 2,
        reason: 'new',
        ...(draw.surge === 1 ? { replaces: pick(hostIds(db), index) } : {}),
      })
    }
  }
  const host_updates = draw.hosts.map(([which, to, luck, idle]) => {
    const id = pick(hostIds(db), which)
    const status = hostStatuses[to]!
    const place = decide(status === 'TERMINATING' ? 'terminate' : 'drain', id, `make it ${status}`)
    if (status === 'TERMINATING') actions.push({ place, kind: 'terminate', target: id, params: {} })
    const from: HostStatus[] = luck < 20 ? ['ACTIVE', 'LAUNCHING'] : [db.hosts.get(id)?.status ?? 'ACTIVE']
    return {
      id,
      place,
      from,
      to: status,
      reason: `make it ${status}`,
      ...(idle ? { idle } : {}),
      ...(luck % 3 === 0 ? { notify: true } : {}),
    }
  })
  const agent_updates = draw.agents.map(([which, to]) => {
    const id = pick(agentIds(db), which)
    const from: AgentStatus[] = [db.agents.get(id)?.status ?? 'RUNNING']
    const failure = which % 2 === 0 ? { failure: 'it took too long' } : {}
    return {
      id,
      place: decide('end-agent', id, 'its time is over'),
      from,
      to: agentStatuses[to]!,
      ...failure,
    }
  })
  const said = new Set<string>()
  for (const [kind, target, words] of draw.words) {
    const about = target === 0 ? null : pick(hostIds(db), words)
    // Of two refusals with the same words in one turn, nobody can say which is counted again.
    if (said.has(`${kind} ${String(about)}`)) continue
    said.add(`${kind} ${String(about)}`)
    decide(kind, about, `words ${words}`)
  }
  const failure = { code: 'never-connected', message: 'it did not connect' }
  return {
    causes: [{ kind: 'sweep' }, { kind: 'change', table: `turn ${turn}` }],
    inputs: { counts: { hosts: 3 } },
    ...{ decisions, actions, hosts, host_updates, agent_updates, surge: draw.surge },
    ...(draw.failed < 10 ? { launch_failed: failure } : {}),
    ...(draw.failed % 3 === 1 ? { endings: { [pick(hostIds(db), draw.failed)]: turn } } : {}),
  }
}
