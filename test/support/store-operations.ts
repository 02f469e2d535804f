/** Random operations of a FleetStore, told by small numbers: what they name is looked up in the rows of the moment. */
import fc from 'fast-check'

import { launchOf } from '../../src/model/action.ts'
import { agentStatuses } from '../../src/model/agent.ts'
import { hostStatuses } from '../../src/model/host.ts'
import type { Offering } from '../../src/model/offering.ts'
import { MemoryDatabase } from '../../src/store/memory/memory-database.ts'
import type { Call, Operation } from './store-operation.ts'
import { fenceOf, operation } from './store-operation.ts'
import type { PlanDraw } from './store-plans.ts'
import {
  actionIds,
  agentIds,
  chance,
  hostIds,
  ids,
  imageIds,
  one,
  pick,
  planOf,
  rolloutIds,
  somePlan,
  someWords,
} from './store-plans.ts'
import { rolloutOperations } from './store-rollouts.ts'
import type { RegionChanges, Side } from './store-sides.ts'
import { imageId, knownMoments, regionId, unnumbered } from './store-sides.ts'

const callIds = (db: MemoryDatabase) => ids(db.actions.where((action) => action.kind === 'launch'))
const launchIds = (db: MemoryDatabase) => callIds(db).filter((id) => !id.includes('~'))
const offerings: readonly Offering[] = [
  { instanceType: 'small', zone: 'a', lifecycle: 'spot', agents: 2 },
  { instanceType: 'large', zone: '', lifecycle: 'on-demand', agents: 4 },
]
const machinesOf = (launchId: string, count: number, from: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `m-${launchId.replace(/\W/g, '')}-${from + index}`)

const commit = (db: MemoryDatabase, draw: PlanDraw, luck: number): Call => {
  const plan = planOf(db, draw)
  const turn = (db.regions.get(regionId)?.turn ?? 0) + (luck > 95 ? 1 : 0)
  const fence = fenceOf(db, luck)
  return ({ store, own }) => store.commitTurn(regionId, turn, fence, own(plan))
}

const turns = [
  operation('commitTurn', [somePlan, chance], commit),
  operation('commitTurn', [someWords, chance], commit),
  operation(
    'takeLease',
    [fc.constantFrom('a', 'a', 'b'), fc.constantFrom(3600, 3600, 0)],
    (_, holder, seconds) => {
      return ({ store }) => store.takeLease(holder, seconds)
    },
  ),
  operation('releaseLease', [fc.constantFrom('a', 'b'), chance], (db, holder, luck) => {
    const fence = fenceOf(db, luck)
    return ({ store }) => store.releaseLease(holder, fence)
  }),
  operation('beginAttempt', [one], (db, which) => {
    const id = pick(actionIds(db), which)
    return ({ store }) => store.beginAttempt(id)
  }),
  operation('postponeAction', [one], (db, which) => {
    const id = pick(actionIds(db), which)
    return ({ store }) => store.postponeAction(id, 1_700_000_000_000, 'throttled', 'later')
  }),
  operation(
    'endAction',
    [one, fc.constantFrom('SUCCEEDED' as const, 'FAILED' as const)],
    (db, which, status) => {
      const id = pick(actionIds(db), which)
      return ({ store }) => store.endAction(id, status, status === 'FAILED' ? 'unknown' : undefined)
    },
  ),
  operation('logAction', [one], (db, which) => {
    const id = pick(actionIds(db), which)
    return ({ store }) => store.logAction(id, 'warn', 'it went wrong')
  }),
]

const launches = [
  operation('finishLaunch', [one, fc.nat(3), fc.nat(1), chance], (db, which, count, from, luck) => {
    const id = pick(callIds(db), which)
    const cloudIds = machinesOf(launchOf(id).launchId, count, from)
    const block = luck % 2 === 0 ? { blockS: 60 } : { until: knownMoments[luck % 4 === 1 ? 0 : 1] }
    const refusal = luck % 3 === 0 ? { code: 'quota-exceeded', message: 'no more', ...block } : {}
    const fence = fenceOf(db, luck)
    return ({ store }) => store.finishLaunch(id, fence, { cloudIds, ...refusal })
  }),
  ...Array.from({ length: 2 }, () =>
    operation('beginCall', [one, fc.nat(1), chance], (db, which, kind, luck) => {
      const id = pick(callIds(db), which)
      const fence = fenceOf(db, luck)
      const { launchId } = launchOf(id)
      const uses = Math.max(1, db.hosts.where((host) => host.launchId === launchId).length)
      const secretHash = (luck > 95 ? 'b' : 'a').repeat(64)
      const token = { id: `t-${id}`, secretHash, uses, lifetimeS: luck > 90 ? 0 : 900 }
      return ({ store }) =>
        store.beginCall(id, fence, offerings[kind]!, { subnet: `s-${kind}`, deep: [{ a: null }] }, token)
    }),
  ),
  operation('settleCall', [one, chance], (db, which, luck) => {
    const id = pick(callIds(db), which)
    const fence = fenceOf(db, luck)
    return ({ store }) => store.settleCall(id, fence)
  }),
  operation(
    'refuseCall',
    [one, fc.nat(2), fc.constantFrom(0, 60), chance],
    (db, which, kind, blockS, luck) => {
      const id = pick(callIds(db), which)
      const refusal = { code: 'insufficient-capacity', message: 'none left', blockS, next: offerings[kind] }
      const fence = fenceOf(db, luck)
      return async ({ store }) => {
        const answer = await store.refuseCall(id, fence, refusal)
        return answer === undefined ? 'not stored' : (answer.next ?? 'no next')
      }
    },
  ),
  operation(
    'storeDiscovery',
    [fc.constantFrom(regionId, 'fake/none'), fc.nat(2), chance],
    (db, region, agents, luck) => {
      const found = agents === 0 ? { code: 'unauthorized', message: 'no' } : { agents }
      const fence = fenceOf(db, luck)
      return ({ store }) => store.storeDiscovery(region, fence, found)
    },
  ),
  operation('bindLaunch', [one, one, fc.nat(3), fc.nat(1)], (db, which, other, count, from) => {
    const id = pick(launchIds(db), which)
    // Of another launch: the provider's names are unique.
    const machines = machinesOf(other === 0 ? pick(launchIds(db), which + 1) : id, count, from)
    return ({ store }) => store.bindLaunch(id, machines)
  }),
  operation('endHost', [one, chance], (db, which, luck) => {
    const id = pick(hostIds(db), which)
    const fence = fenceOf(db, luck)
    return ({ store }) => store.endHost(id, fence, luck % 2 === 0 ? null : 'gone')
  }),
  operation('confirmSweep', [fc.constantFrom(regionId, 'fake/none')], (_, region) => {
    return ({ store }) => store.confirmSweep(region, 600, 'a person')
  }),
  operation('drainHost', [one], (db, which) => {
    const id = pick(hostIds(db), which)
    return ({ store }) => store.drainHost(id, 'a person')
  }),
  operation('redeemToken', [one, fc.nat(3), fc.nat(1), chance], (db, which, machine, key, luck) => {
    const launchId = pick(launchIds(db), which)
    const cloudId = machinesOf(launchId, 1, machine)[0]!
    const spkiHash = `${key}${machine}${which}`.padEnd(64, 'c')
    const redemption = {
      tokenId: `t-${launchId}`,
      secretHash: 'a'.repeat(64),
      spkiHash,
      cloudId,
      address: '10.0.0.9',
    }
    const fence = fenceOf(db, luck)
    return (side) => side.redeem(redemption, fence)
  }),
]

const managers = [
  operation('registerHost', [one, chance], (db, which, luck) => {
    const id = pick(hostIds(db), which)
    const fence = fenceOf(db, luck)
    return ({ store }) => store.registerHost(id, '10.0.0.1', luck > 95 ? -1 : 2, fence)
  }),
  ...Array.from({ length: 3 }, () =>
    operation(
      'reportAgents',
      [
        one,
        fc.uniqueArray(fc.tuple(fc.nat(3), fc.nat(4), chance), { maxLength: 3, selector: ([seat]) => seat }),
        fc.boolean(),
        chance,
      ],
      (db, which, seats, isFull, luck) => {
        const id = pick(hostIds(db), which)
        const reports = seats.map(([seat, status, fate]) => ({
          id: `${id}-a${seat}`,
          status: agentStatuses[fate > 40 ? 0 : status]!,
          port: fate === 41 ? 70_000 : 4000 + seat,
          ...(fate < 10 ? { gone: true } : {}),
          ...(fate % 4 === 0 ? { failure: `it died of ${fate}` } : {}),
        }))
        const fence = fenceOf(db, luck)
        return ({ store }) => store.reportAgents(id, reports, isFull, fence)
      },
    ),
  ),
  operation(
    'reportInterruption',
    [one, fc.nat(1), fc.constantFrom('interruption' as const, 'rebalance' as const), chance],
    (db, which, moment, kind, luck) => {
      const id = pick(hostIds(db), which)
      const notice = { kind, at: knownMoments[moment]!, action: luck % 2 === 0 ? '' : 'stop' }
      const fence = fenceOf(db, luck)
      return ({ store }) => store.reportInterruption(id, notice, fence)
    },
  ),
  operation('flushHeartbeats', [one, fc.nat(1), chance], (db, which, beat, luck) => {
    const beats = new Map([[pick(hostIds(db), which), knownMoments[beat]!]])
    const fence = fenceOf(db, luck)
    return ({ store }) => store.flushHeartbeats(beats, fence)
  }),
]

const arms = [undefined, 'candidate', 'control', 'fallback'] as const

const users = [
  ...Array.from({ length: 3 }, () =>
    operation(
      'claimAgent',
      [fc.nat(2), fc.nat(2), one, fc.boolean(), chance, fc.nat(3)],
      (db, user, key, from, isAny, luck, armed) => {
        const served = pick(imageIds(db), luck)
        const arm = arms[armed] ?? null
        const free = db.agents.where((agent) => {
          const host = db.hosts.get(agent.hostId)
          return agent.status === 'WAITING' && host?.status === 'ACTIVE' && host.imageId === served
        })
        const rotated = [...ids(free).slice(from % 3), ...ids(free).slice(0, from % 3)]
        // Without candidates any free agent will do: only where there is no choice can two databases be compared.
        const candidates = isAny && free.length < 2 ? [] : ['nobody', ...rotated]
        const request = {
          userId: `user-${user}`,
          sessionId: `session-${from}`,
          idempotencyKey: key === 0 ? null : `key-${key}`,
          imageId: served,
          version: 'v1',
          requestedAt: 1_700_000_000_000 + from,
          demandRegionId: regionId,
          candidates,
          rolloutId: arm === null ? null : pick(rolloutIds(db), from),
          arm,
          excludedHosts: luck % 4 === 0 ? ids(free.map((agent) => ({ id: agent.hostId }))) : [],
        }
        const fence = fenceOf(db, luck)
        return async (side) => {
          const answer = await side.store.claimAgent(regionId, fence, side.own(request))
          if (answer.outcome === 'assigned' && !side.assignmentIds.includes(answer.id))
            side.assignmentIds.push(answer.id)
          // More of it may be in memory, and is compared as a row.
          const {
            outcome,
            regionId: region,
            imageId: image,
            hostId,
            agentId,
            sessionId,
            address,
            port,
          } = answer
          const { assignedAt, endedAt, requestedAt } = answer
          return {
            outcome,
            region,
            image,
            hostId,
            agentId,
            sessionId,
            address,
            port,
            assignedAt,
            endedAt,
            requestedAt,
          }
        }
      },
    ),
  ),
  operation('giveUpAgent', [one, one, fc.boolean()], (db, which, other, isWrong) => {
    const agents = db.assignments.where((row) => row.agentId !== null)
    return (side) => {
      const assignmentId = pick(side.assignmentIds, which)
      const agentId = isWrong
        ? pick(agentIds(db), other)
        : pick(
            agents.map((row) => row.agentId!),
            which,
          )
      return side.store.giveUpAgent(assignmentId, agentId, 1, isWrong ? null : 'not taken')
    }
  }),
  operation('recordMiss', [fc.nat(2), fc.nat(2)], (_, user, key) => {
    const idempotencyKey = key === 0 ? null : `key-${key}`
    const miss = {
      userId: `user-${user}`,
      idempotencyKey,
      regionId,
      version: 'v2',
      outcome: 'no-capacity' as const,
      requestedAt: 1_600_000_000_000,
    }
    return ({ store }) => store.recordMiss(miss)
  }),
  operation('releaseSession', [fc.nat(2), one], (_, user, session) => {
    return ({ store }) => store.releaseSession(`user-${user}`, `session-${session}`)
  }),
]

const someRegionChanges: fc.Arbitrary<RegionChanges> = fc.constantFrom<RegionChanges>(
  { enabled: false },
  { enabled: true },
  { enabled: true },
  { maxHosts: 4 },
  { maxHosts: 8, minHosts: 2 },
  { minHosts: 50 },
  { maxSurgeHosts: 2 },
  { maxAgentsPerUser: 2 },
  { maxAgentsPerUser: 1 },
  { options: { idle_seconds: 5 } },
  { agentsPerHostGiven: null },
  { agentsPerHostGiven: 3 },
)

const people = [
  operation('setHost', [one, fc.nat(hostStatuses.length - 1), fc.boolean()], (db, which, to, isProtected) => {
    const id = pick(hostIds(db), which)
    return (side) => side.setHost(id, { status: hostStatuses[to]!, protected: isProtected })
  }),
  operation('setRegion', [someRegionChanges], (_, changes) => (side) => side.setRegion(regionId, changes)),
  operation('insertImage', [fc.nat(2), chance], (_, which, luck) => {
    return (side) => side.insertImage(`image-${which}`, regionId, luck < 30 ? 'ACTIVE' : 'CANDIDATE')
  }),
  operation(
    'setImage',
    [fc.nat(2), fc.constantFrom('ACTIVE' as const, 'RETIRED' as const, 'CANDIDATE' as const)],
    (_, which, status) => {
      return (side) => side.setImage(`image-${which}`, status)
    },
  ),
  operation('prune', [chance], (db, luck) => {
    const fence = fenceOf(db, luck)
    return ({ store }) => store.prune(0, fence)
  }),
]

const looks = [
  operation('read', [one, fc.constantFrom(regionId, 'fake/none')], (db, which, region) => {
    const hosts = [pick(hostIds(db), which), pick(hostIds(db), which + 1), 'nobody']
    const asked = { hosts, agents: agentIds(db).slice(0, which), regions: [region], images: [imageId] }
    const target = pick(hostIds(db), which)
    const named = [...db.hosts.values()].flatMap(({ cloudId, launchId }) =>
      cloudId === null ? [] : { cloudId, launchId: launchId ?? '' },
    )
    const stranger = { cloudId: 'a stranger', launchId: pick(launchIds(db), which) }
    const listed = [...named, stranger].slice(which % 3)
    return async ({ store, named }) => {
      const { openActions, hosts: swept, ...accounted } = await store.readSweepRows(region, listed)
      const sorted = (rows: readonly { readonly id: string }[]) =>
        rows.toSorted((a, b) => (a.id < b.id ? -1 : 1))
      const { hosts: found, agents, ...rest } = await store.readRows(asked)
      const whole = await store.readRegion(region)
      return [
        { ...rest, versions: rest.versions.map(unnumbered), hosts: sorted(found), agents: sorted(agents) },
        whole === undefined
          ? 'none'
          : [whole.region, whole.hosts, whole.agents, whole.versions.map(unnumbered)],
        whole === undefined ? 'none' : [...named(whole.images), ...named(whole.rollouts)].sort(),
        await store.readRegionIds(),
        await store.readRegions(),
        await store.readOpenActions(),
        await store.readHosts({ includeTerminated: which % 2 === 0 }),
        await store.readHost(target),
        (await store.readDecisions({ region, target, limit: 100 })).length,
        await store.readSessions(`user-${which % 3}`),
        accounted,
        openActions.map(({ id, kind, target: about }) => [id, kind, about]),
        swept.map(({ id, cloudId, launchId, status }) => [id, cloudId, launchId, status]),
      ]
    }
  }),
]

/** A small fleet, so that what follows finds something to do: two hosts that serve, one that failed, two on their way. */
export async function begin(side: Side): Promise<void> {
  const { store } = side
  const fence = (await store.takeLease('a', 3600))!.fence
  const nothing = { hosts: [], agents: [], words: [], failed: 99, surge: 0, isTwin: false, image: 0 }
  await store.commitTurn(
    regionId,
    0,
    fence,
    planOf(new MemoryDatabase({ now: () => 0 }, ''), { ...nothing, launches: [3, 2] }),
  )
  const launchId = `${regionId}:0.0`
  await store.finishLaunch(launchId, fence, { cloudIds: machinesOf(launchId, 2, 0) })
  for (const id of ['h-000-0-0', 'h-000-0-1']) {
    await store.registerHost(id, '10.0.0.1', 2, fence)
    const reports = [0, 1].map((seat) => ({
      id: `${id}-a${seat}`,
      status: 'WAITING' as const,
      port: 4000 + seat,
    }))
    await store.reportAgents(id, reports, true, fence)
  }
}

export const someOperations: fc.Arbitrary<readonly Operation[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.oneof(...turns) },
    { weight: 5, arbitrary: fc.oneof(...launches) },
    { weight: 6, arbitrary: fc.oneof(...managers) },
    { weight: 5, arbitrary: fc.oneof(...users) },
    { weight: 2, arbitrary: fc.oneof(...people) },
    { weight: 6, arbitrary: fc.oneof(...rolloutOperations) },
    { weight: 1, arbitrary: fc.oneof(...looks) },
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
)
