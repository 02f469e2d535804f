/** Placement on a real PostgreSQL through the embedded endpoint, hearing of changes as the daemon does; only the managers are played. */
import { randomUUID } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { Assigner } from '../../../src/assign/assigner.ts'
import type { AssignAnswer } from '../../../src/assign/seams.ts'
import type { EmbeddedEndpoint } from '../../../src/embedded/endpoint.ts'
import { startEmbedded } from '../../../src/embedded/endpoint.ts'
import { ChangeFollower } from '../../../src/event-handler/change-follower.ts'
import { createHasuraClient } from '../../../src/hasura/client.ts'
import { createChangeFeed } from '../../../src/hasura/hasura-change-feed.ts'
import { createHasuraStore } from '../../../src/hasura/hasura-store.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import type { AssignRequest } from '../../../src/model/assignment.ts'
import { Mirror } from '../../../src/store/mirror.ts'
import { eventually } from '../../support/eventually.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'

const adminSecret = 'admin-secret-of-this-test'
const patient = new AbortController().signal

let fleet: FleetDatabase
let endpoint: EmbeddedEndpoint
let follower: ChangeFollower
let assigner: Assigner
let mirror: Mirror
let fence: number
const refusing = new Set<string>()
/** What managers were asked to start, as `agent session`. */
const started: string[] = []
const wakes: string[] = []

beforeAll(async () => {
  fleet = await fleetDatabase()
  endpoint = await startEmbedded({
    projectDir: new URL('../../../config/hasura', import.meta.url).pathname,
    database: { kind: 'postgres', url: fleet.url, poolSize: 8 },
    port: 0,
    adminSecret,
    logger: silentLogger,
  })
  const client = createHasuraClient({ url: endpoint.url, adminSecret })
  const store = createHasuraStore(client, Date.now)
  mirror = new Mirror({ clock: systemClock, lastHeard: () => Date.now(), waitingUsers: () => 0 })
  let isCurrent = false
  follower = new ChangeFollower({
    feed: createChangeFeed(client, systemClock),
    store,
    mirror,
    clock: systemClock,
    logger: silentLogger,
    resyncMs: 30_000,
    wake: () => undefined,
    onHealth: (current) => {
      isCurrent = current
    },
  })
  fence = await fleet.takeLease()
  assigner = new Assigner({
    store,
    view: mirror,
    sessions: {
      isConnected: () => true,
      startSession: async (hostId, { agentId, sessionId }) => {
        if (refusing.has(hostId)) return { taken: false, error: 'refused' }
        started.push(`${agentId} ${sessionId}`)
        return { taken: true }
      },
    },
    leadership: { fence: () => fence },
    rank: () => undefined,
    wake: (regionId, cause) =>
      wakes.push(`${regionId} ${cause.kind === 'assign' ? cause.outcome : cause.kind}`),
    clock: systemClock,
    logger: silentLogger,
    newId: randomUUID,
  })
  assigner.start()
  follower.start()
  await eventually(() => isCurrent)
})

afterAll(async () => {
  assigner.stop()
  await follower.stop()
  await endpoint.stop()
  await fleet.close()
})

/** A region of its own for each test, heard of by the mirror. */
async function aFleet(name: string, hosts: number, agentsEach: number, columns = {}): Promise<string> {
  const region = `test/${name}`
  await fleet.seedRegion(region, columns)
  const ids = Array.from({ length: hosts }, (_, index) => `${name}-h${index}`)
  await fleet.seedHosts(ids, { region_id: region, image_id: `${region}/image`, capacity: agentsEach })
  for (const id of ids) await fleet.seedAgents(id, agentsEach)
  await eventually(
    async () => (await ask(region, `probe-${randomUUID()}`, { version: 'x' })).outcome === 'version-mismatch',
  )
  return region
}

const ask = (region: string, userId: string, changes: Partial<AssignRequest> = {}): Promise<AssignAnswer> =>
  assigner.assign({ userId, regions: [region], waitMs: 0, ...changes }, patient)

function tally(answers: readonly AssignAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { outcome } of answers) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

const seats = (answers: readonly AssignAnswer[]) =>
  answers.flatMap((answer) => (answer.outcome === 'assigned' ? [answer.seat.agentId] : []))

test('200 users at once share 60 agents: 60 get one each, 140 hear that there is none', async () => {
  const region = await aFleet('crowd', 30, 2)
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => ask(region, `crowd-${n}`)))
  expect(tally(answers)).toEqual({ assigned: 60, 'no-capacity': 140 })
  expect(new Set(seats(answers)).size).toBe(60)
  const rows = await fleet.sql(
    `select outcome, count(*)::int as n from fleet.assignments where user_id like 'crowd-%' group by outcome order by outcome`,
  )
  expect(rows).toEqual([
    { outcome: 'assigned', n: 60 },
    { outcome: 'no-capacity', n: 140 },
  ])
})

test('one user with a limit of 2 and 50 requests at once gets exactly 2', async () => {
  const region = await aFleet('limit', 5, 2, { max_agents_per_user: 2 })
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask(region, 'greedy')))
  expect(tally(answers)).toEqual({ assigned: 2, 'user-already-active': 48 })
})

test('who waits is served, in order, as agents appear', async () => {
  const region = await aFleet('wait', 1, 0)
  const served: string[] = []
  const users = ['wait-1', 'wait-2', 'wait-3']
  const answers: Promise<AssignAnswer>[] = []
  for (const [index, user] of users.entries()) {
    const answer = ask(region, user, { waitMs: 20_000 })
    void answer.then(() => served.push(user))
    answers.push(answer)
    await eventually(() => assigner.waitingUsers(region) === index + 1)
  }
  await fleet.seedAgents('wait-h0', 3)
  expect(tally(await Promise.all(answers))).toEqual({ assigned: 3 })
  expect(served).toEqual(users)
  expect(assigner.waitingUsers(region)).toBe(0)
})

describe('an idempotency key', () => {
  test('gives the same answer again, as a repetition and not as a new claim', async () => {
    const region = await aFleet('key', 2, 2)
    const request = { idempotencyKey: 'k', sessionId: 'mine' }
    const first = await ask(region, 'keyed', request)
    const [agentId] = seats([first])
    expect(started).toContain(`${agentId!} mine`)
    expect(await ask(region, 'keyed', request)).toEqual(first)
    await fleet.sql(`update fleet.agents set status = 'RUNNING' where id = $1`, [agentId])
    const again = await Promise.all(Array.from({ length: 5 }, () => ask(region, 'keyed', request)))
    expect(again).toEqual(Array.from({ length: 5 }, () => first))
    expect(await fleet.sql(`select 1 from fleet.assignments where user_id = 'keyed'`)).toHaveLength(1)
    expect(wakes.filter((wake) => wake === `${region} assigned`)).toHaveLength(1)
  })

  test('of an agent that was given up is served anew, in one row', async () => {
    const region = await aFleet('spoilt', 2, 1)
    refusing.add('spoilt-h0').add('spoilt-h1')
    expect(await ask(region, 'unlucky', { idempotencyKey: 'k' })).toEqual({ outcome: 'no-capacity' })
    const dying = () =>
      fleet.sql(`select 1 from fleet.agents where region_id = $1 and status = 'DYING'`, [region])
    expect(await dying()).toHaveLength(2)
    refusing.clear()
    await fleet.seedHosts(['spoilt-h2'], { region_id: region, image_id: `${region}/image` })
    await fleet.seedAgents('spoilt-h2', 1)
    expect(await ask(region, 'unlucky', { idempotencyKey: 'k' })).toMatchObject({ outcome: 'assigned' })
    expect(await fleet.sql(`select outcome from fleet.assignments where user_id = 'unlucky'`)).toEqual([
      { outcome: 'assigned' },
    ])
  })
})

test('a request without a key whose agents fail is one row of demand, too', async () => {
  const region = await aFleet('failing', 1, 2)
  refusing.add('failing-h0')
  expect(await ask(region, 'plain')).toEqual({ outcome: 'no-capacity' })
  expect(
    await fleet.sql(`select outcome, demand_region_id from fleet.assignments where user_id = 'plain'`),
  ).toEqual([{ outcome: 'no-capacity', demand_region_id: region }])
})

test('a session id that the user has already is no second session', async () => {
  const [near, far] = [await aFleet('near', 1, 1), await aFleet('far', 1, 1)]
  expect(await ask(near, 'twice', { sessionId: 's' })).toMatchObject({ outcome: 'assigned' })
  expect(await ask(far, 'twice', { sessionId: 's' })).toEqual({ outcome: 'user-already-active' })
})

test('a released session ends and its user may come again', async () => {
  const region = await aFleet('release', 1, 2)
  const answer = await ask(region, 'leaver', { sessionId: 's' })
  expect(await assigner.sessions('leaver')).toMatchObject([
    { sessionId: 's', status: 'ALLOCATED', address: '127.0.0.1' },
  ])
  expect(await assigner.release('leaver', 's')).toMatchObject([{ id: seats([answer])[0], status: 'DYING' }])
  expect(await assigner.release('leaver', 's')).toEqual([])
  expect(await ask(region, 'leaver')).toMatchObject({ outcome: 'assigned' })
})

describe('a roll-out', () => {
  const open = (region: string, options: object) =>
    fleet.sql(`select * from fleet.start_rollouts($1, null, 'test')`, [
      JSON.stringify([{ region_id: region, image_id: 'v2', version: 'v2', options }]),
    ])

  /** As its region's turn does a step. */
  async function step(region: string, id: string, from: string, to: string, more = {}): Promise<void> {
    await eventually(async () => {
      const [row] = await fleet.sql(`select turn from fleet.regions where id = $1`, [region])
      const plan = { rollouts: [{ id, place: 0, from, to, reason: 'test', ...more }] }
      const done = await fleet.sql(`select 1 from fleet.commit_turn($1, $2, $3, $4)`, [
        region,
        row!['turn'],
        fence,
        JSON.stringify(plan),
      ])
      return done.length > 0
    })
  }

  const seedMany = (hostId: string, count: number) =>
    fleet.sql(
      `insert into fleet.agents (id, host_id, region_id, port) select h.id || '-a' || n, h.id, h.region_id, 4000
       from fleet.hosts h, generate_series(1, $2::int) n where h.id = $1`,
      [hostId, count],
    )

  /** A region with agents of v1 and of the candidate v2, whose roll-out is in CANARY; gives its id. */
  async function aCanary(name: string, share: number, agents: { v1: number; v2: number }) {
    const region = await aFleet(name, 1, 0)
    const [image] = await open(region, { canary_share: share })
    const id = image!['id'] as string
    await fleet.seedHosts([`${name}-new`], { region_id: region, image_id: id, version: 'v2', capacity: 1 })
    await seedMany(`${name}-h0`, agents.v1)
    await seedMany(`${name}-new`, agents.v2)
    await step(region, id, 'PREPARING', 'READY')
    await step(region, id, 'READY', 'CANARY')
    await eventually(() => isHeard(region, 'CANARY', agents.v1 + agents.v2))
    return { region, id, switched: () => eventually(() => hasSwitched(region, id)) }
  }

  async function hasSwitched(region: string, id: string): Promise<boolean> {
    await step(region, id, 'CANARY', 'CANARY', { is_cleared: true, wanted_free: 0 })
    return (await fleet.sql(`select 1 from fleet.switch_rollouts($1, $2)`, [id, fence])).length > 0
  }

  function isHeard(region: string, state: string, agents: number): boolean {
    const snapshot = mirror.snapshot(region)
    const held = snapshot?.hosts.reduce((sum, host) => sum + host.waitingAgents, 0)
    return snapshot?.rollouts[0]?.state === state && held === agents
  }

  test('1,000 users are shared as the canary says, each on an agent of their own', async () => {
    const share = 0.3
    const { region, id } = await aCanary('share', share, { v1: 800, v2: 400 })
    const answers: AssignAnswer[] = []
    for (let from = 0; from < 1000; from += 100) {
      const some = Array.from({ length: 100 }, (_, n) => ask(region, `share-${from + n}`))
      answers.push(...(await Promise.all(some)))
    }
    expect(tally(answers)).toEqual({ assigned: 1000 })
    expect(new Set(seats(answers)).size).toBe(1000)
    const rows = await fleet.sql(
      `select arm, count(*)::int as n, bool_and(rollout_id = $1) as is_ours, bool_and((image_id = $1) = (arm = 'candidate')) as fits
       from fleet.assignments where user_id like 'share-%' group by arm order by arm`,
      [id],
    )
    expect(rows).toMatchObject([
      { arm: 'candidate', is_ours: true, fits: true },
      { arm: 'control', is_ours: true, fits: true },
    ])
    // Five standard deviations of a binomial; the roll-out's id is another in each run.
    const deviation = Math.sqrt(1000 * share * (1 - share))
    expect(Math.abs(Number(rows[0]!['n']) - 1000 * share)).toBeLessThan(5 * deviation)
  })

  test('serves who names a version from its image, and falls back where the candidate has none', async () => {
    const { region, id } = await aCanary('fall', 1, { v1: 3, v2: 2 })
    expect(await ask(region, 'fall-2', { version: 'v2' })).toMatchObject({ seat: { hostId: 'fall-new' } })
    expect(await ask(region, 'fall-1', { version: 'v1' })).toMatchObject({ seat: { hostId: 'fall-h0' } })
    for (const user of ['fall-a', 'fall-b'])
      expect(await ask(region, user)).toMatchObject({ outcome: 'assigned' })
    expect(await ask(region, 'fall-3', { version: 'v3' })).toEqual({
      outcome: 'version-mismatch',
      served: { [region]: ['v1', 'v2'] },
    })
    expect(
      await fleet.sql(
        `select user_id, arm, rollout_id, host_id from fleet.assignments where user_id like 'fall-%' and outcome = 'assigned' order by user_id`,
      ),
    ).toEqual([
      { user_id: 'fall-1', arm: null, rollout_id: null, host_id: 'fall-h0' },
      { user_id: 'fall-2', arm: null, rollout_id: null, host_id: 'fall-new' },
      { user_id: 'fall-a', arm: 'candidate', rollout_id: id, host_id: 'fall-new' },
      { user_id: 'fall-b', arm: 'fallback', rollout_id: id, host_id: 'fall-h0' },
    ])
  })

  test('keeps on record that the candidate failed a request that the ACTIVE image served', async () => {
    const { region, id } = await aCanary('fails', 1, { v1: 1, v2: 1 })
    refusing.add('fails-new')
    expect(await ask(region, 'fails-1')).toMatchObject({ seat: { hostId: 'fails-h0' } })
    refusing.clear()
    expect(
      await fleet.sql(
        `select arm, rollout_id, failure, host_id from fleet.assignments where user_id = 'fails-1'`,
      ),
    ).toEqual([{ arm: 'candidate', rollout_id: id, failure: 'refused', host_id: 'fails-h0' }])
  })

  test('that switches while users wait hands each to the image that he wants', async () => {
    const { region, id, switched } = await aCanary('turns', 0.5, { v1: 0, v2: 0 })
    const any = ['turns-a', 'turns-b'].map((user) => ask(region, user, { waitMs: 20_000 }))
    const old = ask(region, 'turns-old', { waitMs: 20_000, version: 'v1' })
    await eventually(() => assigner.waitingUsers(region) === 3)
    await switched()
    await eventually(() => assigner.waitingUsersOf(region)[`${region}/image`] === 1)
    await fleet.seedAgents('turns-new', 2)
    expect(await Promise.all(any)).toMatchObject([
      { seat: { hostId: 'turns-new' } },
      { seat: { hostId: 'turns-new' } },
    ])
    expect(assigner.waitingUsers(region)).toBe(1)
    await fleet.seedAgents('turns-h0', 1)
    expect(await old).toMatchObject({ seat: { hostId: 'turns-h0' } })
    const [rollout] = await fleet.sql(`select state from fleet.rollouts where id = $1`, [id])
    expect(rollout).toEqual({ state: 'SWITCHED' })
  })
})
