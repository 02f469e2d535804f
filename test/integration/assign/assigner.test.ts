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
  const mirror = new Mirror({ clock: systemClock, lastHeard: () => Date.now(), waitingUsers: () => 0 })
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
  const fence = await fleet.takeLease()
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
