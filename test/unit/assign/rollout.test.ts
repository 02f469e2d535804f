import { beforeEach, describe, expect, test } from 'vitest'

import type { AssignAnswer } from '../../../src/assign/seams.ts'
import { isChosen } from '../../../src/assign/canary.ts'
import type { RegionSnapshot } from '../../../src/model/snapshot.ts'
import { anImage } from '../../support/factories.ts'
import { aRequest, imageIdOf, patient, SmallFleet } from '../../support/small-fleet.ts'
import { settle } from '../../support/test-clock.ts'

const v1 = imageIdOf('fake/a', 'v1')
const v2 = imageIdOf('fake/a', 'v2')

let fleet: SmallFleet

beforeEach(() => {
  fleet = new SmallFleet()
  fleet.region('fake/a')
})

const waiting = (userId: string, changes = {}) => aRequest({ userId, waitMs: 10_000, ...changes })

/** Users whom the canary of v2 takes, or does not take, at a share of a half. */
const users = (areChosen: boolean): readonly string[] =>
  Array.from({ length: 200 }, (_, n) => `u${n}`).filter((user) => isChosen(v2, user, 0.5) === areChosen)
const [chosen, alsoChosen] = users(true) as [string, string]
const [unchosen, alsoUnchosen] = users(false) as [string, string]

const canary = () => fleet.tries('v2', { state: 'CANARY', canaryShare: 0.5 })
const agentOf = (answer: AssignAnswer) =>
  answer.outcome === 'assigned' ? answer.seat.agentId : answer.outcome
const arms = () => fleet.assignments.map(({ userId, arm, rolloutId }) => [userId, arm, rolloutId])

describe('a request with a version', () => {
  beforeEach(() => {
    fleet.free('old', 'h1')
    fleet.free('new', 'h2', 'fake/a', 'v2')
  })

  test('gets the candidate from READY on, and counts in no canary', async () => {
    fleet.tries('v2', { state: 'PREPARING' })
    const assigner = fleet.assigner()
    const asked = aRequest({ version: 'v2' })
    expect(await assigner.assign(asked, patient)).toEqual({
      outcome: 'version-mismatch',
      served: { 'fake/a': ['v1'] },
    })
    fleet.tries('v2', { state: 'CANARY', canaryShare: 1 })
    expect(agentOf(await assigner.assign(asked, patient))).toBe('new')
    expect(agentOf(await assigner.assign(aRequest({ version: 'v1', userId: 'bob' }), patient))).toBe('old')
    expect(arms().map(([, arm, rolloutId]) => [arm, rolloutId])).toEqual([
      [null, null],
      [null, null],
    ])
  })

  test('gets the image before a switch while it is kept', async () => {
    fleet.tries('v2')
    fleet.switches()
    const assigner = fleet.assigner()
    expect(agentOf(await assigner.assign(aRequest({ version: 'v1' }), patient))).toBe('old')
    expect(await assigner.assign(aRequest({ version: 'v3', userId: 'bob' }), patient)).toEqual({
      outcome: 'version-mismatch',
      served: { 'fake/a': ['v2', 'v1'] },
    })
    expect(agentOf(await assigner.assign(aRequest({ userId: 'bob' }), patient))).toBe('new')
  })

  test('gets the next image of its version when the first has no free agent, the ACTIVE one first', async () => {
    const again = anImage({ id: 'fake/a:again', regionId: 'fake/a', version: 'v1', status: 'RETIRED' })
    fleet.images.set('fake/a', [again])
    fleet.hosts.set('h3', { id: 'h3', regionId: 'fake/a', status: 'ACTIVE', imageId: again.id })
    fleet.free('older', 'h3')
    const assigner = fleet.assigner()
    const answers = []
    for (const userId of ['a', 'b', 'c']) {
      answers.push(agentOf(await assigner.assign(aRequest({ userId, version: 'v1' }), patient)))
    }
    expect(answers).toEqual(['old', 'older', 'no-capacity'])
  })
})

describe('a request without a version, during a canary', () => {
  beforeEach(() => {
    fleet.free('old', 'h1')
    fleet.free('new', 'h2', 'fake/a', 'v2')
  })

  test('gets the candidate if the hash chose it, and is marked', async () => {
    const { id } = canary()
    const assigner = fleet.assigner()
    expect(agentOf(await assigner.assign(aRequest({ userId: chosen }), patient))).toBe('new')
    expect(agentOf(await assigner.assign(aRequest({ userId: unchosen }), patient))).toBe('old')
    expect(arms()).toEqual([
      [chosen, 'candidate', id],
      [unchosen, 'control', id],
    ])
  })

  test('falls back to the ACTIVE image at once; who was not chosen never gets the candidate', async () => {
    const { id } = canary()
    for (const agent of ['old-2', 'old-3']) fleet.free(agent, 'h1')
    const assigner = fleet.assigner()
    await assigner.assign(aRequest({ userId: chosen }), patient)
    expect(await assigner.assign(aRequest({ userId: alsoChosen }), patient)).toMatchObject({
      seat: { hostId: 'h1' },
    })
    expect(arms().at(-1)).toEqual([alsoChosen, 'fallback', id])
    for (const agent of fleet.agents.values()) if (agent.hostId === 'h1') agent.status = 'DYING'
    fleet.free('new-2', 'h2')
    expect(await assigner.assign(aRequest({ userId: unchosen }), patient)).toEqual({ outcome: 'no-capacity' })
  })

  test.each(['READY', 'SWITCHED', 'ROLLING_BACK'] as const)('has no arm when it is %s', async (state) => {
    fleet.tries('v2', { state, canaryShare: 1 })
    const assigner = fleet.assigner()
    expect(agentOf(await assigner.assign(aRequest({ userId: chosen }), patient))).toBe('old')
    expect(arms()).toEqual([[chosen, null, null]])
  })

  test('is not sent to a candidate that is rolled back already, its roll-out being heard of later', async () => {
    canary()
    fleet.images.set('fake/a', [anImage({ id: v2, regionId: 'fake/a', version: 'v2', status: 'RETIRED' })])
    fleet.changed('fake/a')
    expect(agentOf(await fleet.assigner().assign(aRequest({ userId: chosen }), patient))).toBe('old')
  })

  test('is served by the ACTIVE image once the candidate failed it, and stays a failed sample', async () => {
    const { id } = canary()
    fleet.free('new-2', 'h2')
    fleet.refusing.add('h2')
    expect(agentOf(await fleet.assigner().assign(aRequest({ userId: chosen }), patient))).toBe('old')
    expect(fleet.givenUp).toEqual([{ agentId: 'new', failure: 'refused' }])
    expect(fleet.agents.get('new-2')?.status).toBe('WAITING')
    expect(fleet.assignments).toMatchObject([
      { arm: 'candidate', rolloutId: id, failure: 'refused', outcome: 'assigned', agentId: 'old' },
    ])
    expect(fleet.claims.at(-1)?.request).toMatchObject({ arm: 'fallback', rolloutId: id })
  })
})

test('who hangs up says nothing of the agent', async () => {
  fleet.free('a1')
  fleet.silent.add('h1')
  const gone = new AbortController()
  const answer = fleet.assigner().assign(aRequest(), gone.signal)
  await settle()
  gone.abort()
  expect(await answer).toEqual({ outcome: 'given-up' })
  expect(fleet.givenUp).toEqual([{ agentId: 'a1', failure: null }])
})

test("a manager's words are kept in part, however many", async () => {
  fleet.free('a1')
  const startSession = async () => ({ taken: false, error: 'x'.repeat(5_000) }) as const
  const assigner = fleet.assigner({ sessions: { ...fleet.sessions, startSession } })
  await assigner.assign(aRequest(), patient)
  expect(fleet.givenUp[0]?.failure).toHaveLength(1_000)
})

test('the algorithm ranks a region that has only the image in question', async () => {
  fleet.free('old', 'h1')
  fleet.free('new', 'h2', 'fake/a', 'v2')
  fleet.tries('v2')
  const seen: RegionSnapshot[] = []
  const assigner = fleet.assigner({
    rank: (_, snapshot) => {
      seen.push(snapshot)
      return undefined
    },
  })
  await assigner.assign(aRequest({ version: 'v2' }), patient)
  await assigner.assign(aRequest({ userId: 'bob' }), patient)
  expect(seen.map(({ activeImage, hosts }) => [activeImage?.id, hosts.map(({ id }) => id)])).toEqual([
    [v2, ['h2']],
    [v1, ['h1']],
  ])
})

describe('a switch', () => {
  test('between a claim that found nothing and its answer costs nobody an agent', async () => {
    fleet.tries('v2')
    fleet.free('new', 'h2', 'fake/a', 'v2')
    let calls = 0
    fleet.latency = async () => {
      calls += 1
      if (calls === 2) fleet.switches()
    }
    expect(agentOf(await fleet.assigner().assign(aRequest(), patient))).toBe('new')
    expect(fleet.claims.map(({ request }) => request.imageId)).toEqual([v1, v2])
  })

  test('that the mirror has heard half of leaves an image for who names none', async () => {
    fleet.free('new', 'h2', 'fake/a', 'v2')
    fleet.tries('v2')
    const old = anImage({ id: v1, regionId: 'fake/a', version: 'v1', status: 'RETIRED' })
    fleet.images.get('fake/a')!.push(old)
    fleet.regions.get('fake/a')!.version = undefined
    fleet.changed('fake/a')
    expect(agentOf(await fleet.assigner().assign(aRequest(), patient))).toBe('new')
  })

  test('and the way back from it, half heard of, leave an image for who names none', async () => {
    fleet.free('old', 'h1')
    fleet.tries('v2')
    fleet.switches()
    const [rollout] = fleet.rollouts.get('fake/a')!
    const retired = ['v1', 'v2'].map((version) =>
      anImage({ id: imageIdOf('fake/a', version), regionId: 'fake/a', version, status: 'RETIRED' }),
    )
    fleet.images.set('fake/a', retired)
    fleet.regions.get('fake/a')!.version = undefined
    fleet.rollouts.set('fake/a', [{ ...rollout!, state: 'ROLLING_BACK', switchedAt: 1 }])
    fleet.changed('fake/a')
    expect(agentOf(await fleet.assigner().assign(aRequest(), patient))).toBe('old')
  })

  test('hands who waits without a version to the new image, and keeps who waits for the old one', async () => {
    fleet.tries('v2')
    const assigner = fleet.assigner()
    const any = assigner.assign(waiting('alice'), patient)
    const oldOnly = assigner.assign(waiting('bob', { version: 'v1' }), patient)
    await settle()
    expect(assigner.waitingUsersOf('fake/a')).toEqual({})
    fleet.switches()
    await settle()
    expect(assigner.waitingUsers('fake/a')).toBe(2)
    expect(assigner.waitingUsersOf('fake/a')).toEqual({ [v1]: 1 })
    fleet.free('new', 'h2', 'fake/a', 'v2')
    expect(agentOf(await any)).toBe('new')
    fleet.free('old', 'h1', 'fake/a', 'v1')
    expect(agentOf(await oldOnly)).toBe('old')
    expect(assigner.waitingUsersOf('fake/a')).toEqual({})
  })

  test('and the end of the old image sends away who waits for it', async () => {
    fleet.tries('v2')
    fleet.switches()
    const assigner = fleet.assigner()
    const oldOnly = assigner.assign(waiting('bob', { version: 'v1' }), patient)
    await settle()
    fleet.rollouts.set('fake/a', [])
    fleet.changed('fake/a')
    expect(await oldOnly).toEqual({ outcome: 'version-mismatch', served: { 'fake/a': ['v2'] } })
  })
})

describe('lines', () => {
  test('who waits for one version holds up nobody who wants another', async () => {
    fleet.tries('v2')
    const assigner = fleet.assigner()
    const first = assigner.assign(waiting('alice', { version: 'v2' }), patient)
    const second = assigner.assign(waiting('bob', { version: 'v1' }), patient)
    await settle()
    let go: (() => void) | undefined
    const held = new Promise<void>((resolve) => (go = resolve))
    // The claim for the first one is under way all the while.
    fleet.latency = () => (fleet.claims.at(-1)?.request.userId === 'alice' ? held : Promise.resolve())
    fleet.free('new', 'h2', 'fake/a', 'v2')
    await settle()
    fleet.latency = () => Promise.resolve()
    fleet.free('old', 'h1')
    expect(agentOf(await second)).toBe('old')
    expect(agentOf(await assigner.assign(aRequest({ userId: 'carol', version: 'v1' }), patient))).toBe(
      'no-capacity',
    )
    go?.()
    expect(agentOf(await first)).toBe('new')
  })

  test('who names the version and who names none take turns at one image, in order of arrival', async () => {
    canary()
    const assigner = fleet.assigner()
    const served: string[] = []
    const people = [
      waiting(chosen),
      waiting('named', { version: 'v1' }),
      waiting(unchosen),
      waiting(alsoChosen),
      waiting(alsoUnchosen),
    ]
    for (const request of people) {
      void assigner.assign(request, patient).then(() => served.push(request.userId))
      await settle()
    }
    for (const agent of ['a', 'b', 'c', 'd', 'e']) {
      fleet.free(agent, 'h1')
      await settle()
    }
    expect(served).toEqual(people.map(({ userId }) => userId))
  })

  test('who comes while others wait for the candidate is served by the ACTIVE image, which nobody waits for', async () => {
    const { id } = canary()
    const assigner = fleet.assigner()
    const first = assigner.assign(waiting('alice', { version: 'v2' }), patient)
    await settle()
    fleet.hint = () => undefined
    fleet.free('new', 'h2', 'fake/a', 'v2')
    fleet.free('old', 'h1')
    const second = await assigner.assign(aRequest({ userId: chosen }), patient)
    expect(agentOf(second)).toBe('old')
    expect(arms().at(-1)).toEqual([chosen, 'fallback', id])
    fleet.hint = (deliver) => deliver()
    fleet.changed('fake/a')
    expect(agentOf(await first)).toBe('new')
  })

  test('one whom either image will do waits for no other than the ACTIVE one', async () => {
    canary()
    const assigner = fleet.assigner()
    const gone = new AbortController()
    const answers = [
      waiting(chosen),
      waiting(unchosen),
      waiting('alice', { version: 'v2' }),
      waiting('bob', { version: 'v2' }),
    ].map((request) => assigner.assign(request, gone.signal))
    await settle()
    expect(assigner.waitingUsers('fake/a')).toBe(4)
    expect(assigner.waitingUsersOf('fake/a')).toEqual({ [v2]: 2 })
    gone.abort()
    await Promise.all(answers)
    expect(assigner.waitingUsersOf('fake/a')).toEqual({})
  })
})
