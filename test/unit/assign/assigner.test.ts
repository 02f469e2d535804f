import { beforeEach, describe, expect, test } from 'vitest'

import { aBlock } from '../../support/factories.ts'
import { settle } from '../../support/test-clock.ts'
import { aRequest, patient, SmallFleet } from '../../support/small-fleet.ts'

let fleet: SmallFleet

beforeEach(() => {
  fleet = new SmallFleet()
  fleet.region('fake/a')
})

describe('a request', () => {
  test('gets the fullest host, once its manager has taken the session', async () => {
    fleet.free('a1', 'h1')
    fleet.free('a2', 'h1')
    fleet.free('b1', 'h2')
    const answer = await fleet.assigner().assign(aRequest({ sessionId: 's' }), patient)
    expect(answer).toEqual({
      outcome: 'assigned',
      seat: {
        agentId: 'b1',
        hostId: 'h2',
        regionId: 'fake/a',
        address: '127.0.0.1',
        port: 4000,
        sessionId: 's',
      },
    })
    expect(fleet.started).toEqual([{ agentId: 'b1', sessionId: 's', userId: 'alice' }])
    expect(fleet.wakes).toEqual(['fake/a assigned'])
    expect(fleet.misses).toEqual([])
  })

  test('is offered agents in the order of the algorithm, the rest after them', async () => {
    for (const id of ['a1', 'a2', 'a3']) fleet.free(id)
    const assigner = fleet.assigner({ rank: () => ['no-such-agent', 'a3', 'a3', 'a2'] })
    await assigner.assign(aRequest(), patient)
    expect(fleet.claims[0]?.request.candidates).toEqual(['a3', 'a2', 'a1'])
  })

  test('is placed by the default order when the algorithm throws', async () => {
    fleet.free('a1')
    const assigner = fleet.assigner({
      rank: () => {
        throw new Error('no rank today')
      },
    })
    expect(await assigner.assign(aRequest(), patient)).toMatchObject({ outcome: 'assigned' })
  })

  test('is offered nothing of a host without a live stream', async () => {
    fleet.free('a1', 'h1')
    fleet.disconnected.add('h1')
    const answer = await fleet.assigner().assign(aRequest(), patient)
    expect(answer).toEqual({ outcome: 'no-capacity' })
    expect(fleet.claims[0]?.request).toMatchObject({ candidates: [], excludedHosts: ['h1'] })
  })

  test('is not offered what was just claimed, though the mirror has not heard of it', async () => {
    for (const id of ['a1', 'a2']) fleet.free(id)
    fleet.hint = () => undefined
    const assigner = fleet.assigner()
    await assigner.assign(aRequest(), patient)
    await assigner.assign(aRequest({ userId: 'bob' }), patient)
    expect(fleet.claims.map(({ request }) => request.candidates)).toEqual([['a1', 'a2'], ['a2']])
  })

  test('is tried by a claim even when the mirror knows of no free agent', async () => {
    const assigner = fleet.assigner()
    await assigner.assign(aRequest(), patient)
    expect(fleet.claims).toHaveLength(1)
  })

  test('goes on to the next of its regions while all that the first could launch is blocked', async () => {
    fleet.region('fake/b')
    fleet.blocks.set('fake/a', [aBlock({ regionId: 'fake/a', until: fleet.clock.now() + 180_000 })])
    Object.assign(fleet.regions.get('fake/a')!.region, { launchBlockedUntil: fleet.clock.now() + 180_000 })
    const assigner = fleet.assigner()
    const regions = ['fake/a', 'fake/b']
    const waiting = assigner.assign(aRequest({ regions, waitMs: 10_000 }), patient)
    await settle()
    // It is the first region's demand still, and nobody launches for it in the other.
    expect([assigner.waitingUsers('fake/a'), assigner.waitingUsers('fake/b')]).toEqual([1, 0])
    fleet.free('b1', 'h9', 'fake/b')
    expect(await waiting).toMatchObject({ outcome: 'assigned', seat: { regionId: 'fake/b' } })
    fleet.free('b2', 'h9', 'fake/b')
    const atOnce = assigner.assign(aRequest({ userId: 'bob', regions }), patient)
    expect(await atOnce).toMatchObject({ outcome: 'assigned', seat: { regionId: 'fake/b' } })
  })

  test('that is not served is recorded once, as demand of its first enabled region', async () => {
    fleet.region('fake/off', { enabled: false })
    fleet.region('fake/b')
    const regions = ['fake/off', 'fake/b', 'fake/a']
    expect(await fleet.assigner().assign(aRequest({ regions }), patient)).toEqual({ outcome: 'no-capacity' })
    expect(fleet.misses).toMatchObject([{ regionId: 'fake/b', outcome: 'no-capacity', userId: 'alice' }])
    expect(fleet.wakes).toEqual(['fake/b no-capacity'])
  })

  test('finds no region to be demand of when none is enabled', async () => {
    const answer = await fleet.assigner().assign(aRequest({ regions: ['fake/unknown'] }), patient)
    expect(answer).toEqual({ outcome: 'region-not-enabled' })
    expect(fleet.claims).toEqual([])
    expect(fleet.misses).toMatchObject([{ regionId: null, outcome: 'region-not-enabled' }])
    expect(fleet.wakes).toEqual([])
  })

  test('is refused as active when it asks for a session that the user has already', async () => {
    fleet.region('fake/b')
    fleet.free('a1')
    fleet.free('b1', 'h2', 'fake/b')
    const assigner = fleet.assigner()
    await assigner.assign(aRequest({ sessionId: 's' }), patient)
    const answer = await assigner.assign(aRequest({ sessionId: 's', regions: ['fake/b'] }), patient)
    expect(answer).toEqual({ outcome: 'user-already-active' })
  })

  test.each([
    ['this daemon stands by', (held: SmallFleet) => (held.fence = undefined)],
    ['the database is away', (held: SmallFleet) => (held.databaseIsAway = true)],
  ])('is unavailable while %s', async (_name, spoil) => {
    fleet.free('a1')
    spoil(fleet)
    await expect(fleet.assigner().assign(aRequest(), patient)).rejects.toMatchObject({
      code: 'unavailable',
      retryable: true,
    })
  })

  test('is unavailable when the lease was lost without our knowing', async () => {
    fleet.free('a1')
    const assigner = fleet.assigner({ leadership: { fence: () => 7 } })
    await expect(assigner.assign(aRequest(), patient)).rejects.toMatchObject({ code: 'unavailable' })
    expect(fleet.misses).toEqual([])
  })
})

describe('several regions', () => {
  beforeEach(() => {
    fleet.region('fake/full')
    fleet.region('fake/old', { version: 'v0' })
    fleet.region('fake/off', { enabled: false })
    fleet.region('fake/bare', { version: undefined })
  })

  test('a success in any of them wins', async () => {
    fleet.free('a1')
    const regions = ['fake/off', 'fake/old', 'fake/full', 'fake/a']
    const answer = await fleet.assigner().assign(aRequest({ regions, version: 'v1' }), patient)
    expect(answer).toMatchObject({ outcome: 'assigned', seat: { regionId: 'fake/a' } })
    expect(fleet.claims.at(-1)?.request.demandRegionId).toBe('fake/old')
  })

  test.each([
    [['fake/off', 'fake/old', 'fake/full', 'fake/mine'], 'user-already-active'],
    [['fake/off', 'fake/old', 'fake/full'], 'no-capacity'],
    [['fake/off', 'fake/bare'], 'no-capacity'],
    [['fake/off', 'fake/old'], 'version-mismatch'],
    [['fake/off'], 'region-not-enabled'],
  ])('%j together answer %s', async (regions, outcome) => {
    fleet.region('fake/mine')
    fleet.free('m1', 'm', 'fake/mine')
    const assigner = fleet.assigner()
    await assigner.assign(aRequest({ regions: ['fake/mine'] }), patient)
    expect(await assigner.assign(aRequest({ regions, version: 'v1' }), patient)).toMatchObject({ outcome })
  })

  test('any version will do when none is asked for', async () => {
    fleet.free('o1', 'o', 'fake/old')
    const answer = await fleet.assigner().assign(aRequest({ regions: ['fake/old'] }), patient)
    expect(answer).toMatchObject({ outcome: 'assigned' })
  })
})

describe('an agent whose manager does not take the session', () => {
  test('is given up and the next one claimed', async () => {
    fleet.free('a1', 'bad')
    fleet.free('b1', 'good')
    fleet.free('b2', 'good')
    fleet.refusing.add('bad')
    const answer = await fleet.assigner().assign(aRequest(), patient)
    expect(answer).toMatchObject({ outcome: 'assigned', seat: { hostId: 'good' } })
    expect(fleet.agents.get('a1')?.status).toBe('DYING')
    expect(fleet.assignments).toHaveLength(1)
  })

  test('is given up when it does not answer in time', async () => {
    fleet.free('a1', 'bad')
    fleet.silent.add('bad')
    const answer = fleet.assigner({ acknowledgeMs: 2_000 }).assign(aRequest(), patient)
    await settle()
    await fleet.clock.advance(1_999)
    await settle()
    expect(fleet.agents.get('a1')?.status).toBe('ALLOCATED')
    await fleet.clock.advance(1)
    expect(await answer).toEqual({ outcome: 'no-capacity' })
    expect(fleet.agents.get('a1')?.status).toBe('DYING')
  })

  test('costs at most five agents a request', async () => {
    for (let n = 0; n < 8; n++) fleet.free(`a${n}`, 'bad')
    fleet.refusing.add('bad')
    expect(await fleet.assigner().assign(aRequest(), patient)).toEqual({ outcome: 'no-capacity' })
    expect([...fleet.agents.values()].filter((agent) => agent.status === 'DYING')).toHaveLength(5)
    expect(fleet.misses).toHaveLength(1)
  })
})

describe('a client that hangs up', () => {
  test('before the claim costs no agent', async () => {
    fleet.free('a1')
    const answer = await fleet.assigner().assign(aRequest(), AbortSignal.abort())
    expect(answer).toEqual({ outcome: 'given-up' })
    expect(fleet.agents.get('a1')?.status).toBe('WAITING')
  })

  test('during the claim or the acknowledgement leaves its agent DYING, never WAITING', async () => {
    for (const moment of ['claim', 'acknowledgement']) {
      fleet.free('a1')
      const gone = new AbortController()
      let go: (() => void) | undefined
      if (moment === 'claim') {
        const held = new Promise<void>((resolve) => (go = resolve))
        fleet.latency = () => held
      } else fleet.silent.add('h1')
      const answer = fleet.assigner().assign(aRequest(), gone.signal)
      await settle()
      gone.abort()
      go?.()
      expect(await answer).toEqual({ outcome: 'given-up' })
      expect(fleet.agents.get('a1')?.status).toBe('DYING')
    }
  })
})

describe('an idempotency key', () => {
  const keyed = aRequest({ idempotencyKey: 'k' })

  test('gives the same answer again, and claims no second agent', async () => {
    fleet.free('a1')
    fleet.free('a2')
    const assigner = fleet.assigner()
    const first = await assigner.assign(keyed, patient)
    await fleet.clock.advance(10)
    expect(await assigner.assign(keyed, patient)).toEqual(first)
    expect(await assigner.assign({ ...keyed, sessionId: 'other' }, patient)).toEqual(first)
    expect([...fleet.agents.values()].filter((agent) => agent.status === 'WAITING')).toHaveLength(1)
    expect(fleet.wakes).toEqual(['fake/a assigned'])
  })

  test('is answered alike after the region was disabled, and while others wait', async () => {
    fleet.free('a1')
    const assigner = fleet.assigner()
    const first = await assigner.assign(keyed, patient)
    const other = assigner.assign(aRequest({ userId: 'bob', waitMs: 1_000 }), patient)
    await settle()
    expect(await assigner.assign(keyed, patient)).toEqual(first)
    fleet.regions.get('fake/a')!.region.enabled = false
    fleet.changed('fake/a')
    expect(await assigner.assign(keyed, patient)).toEqual(first)
    expect(await other).toEqual({ outcome: 'region-not-enabled' })
  })

  test('is one request while it is under way', async () => {
    fleet.free('a1')
    fleet.free('a2')
    const assigner = fleet.assigner()
    const [one, two] = await Promise.all([assigner.assign(keyed, patient), assigner.assign(keyed, patient)])
    expect(one).toEqual(two)
    expect(fleet.claims).toHaveLength(1)
  })

  test('is given up only when all who asked have hung up, and is then served anew', async () => {
    fleet.free('a1')
    fleet.silent.add('h1')
    const assigner = fleet.assigner()
    const [one, two] = [new AbortController(), new AbortController()]
    const answers = [assigner.assign(keyed, one.signal), assigner.assign(keyed, two.signal)]
    await settle()
    one.abort()
    await settle()
    expect(fleet.agents.get('a1')?.status).toBe('ALLOCATED')
    two.abort()
    fleet.free('b1', 'h2')
    const third = assigner.assign(keyed, patient)
    expect(await Promise.all(answers)).toEqual([{ outcome: 'given-up' }, { outcome: 'given-up' }])
    expect(await third).toMatchObject({ outcome: 'assigned', seat: { agentId: 'b1' } })
    expect(fleet.agents.get('a1')?.status).toBe('DYING')
  })

  test('is unavailable while the host of its answer is away, and touches nothing', async () => {
    fleet.free('a1')
    const assigner = fleet.assigner()
    const first = await assigner.assign(keyed, patient)
    await fleet.clock.advance(10)
    fleet.disconnected.add('h1')
    await expect(assigner.assign(keyed, patient)).rejects.toMatchObject({ code: 'unavailable' })
    expect(fleet.agents.get('a1')?.status).toBe('ALLOCATED')
    fleet.agents.get('a1')!.status = 'RUNNING'
    fleet.changed('fake/a')
    expect(await assigner.assign(keyed, patient)).toEqual(first)
  })

  test('that was given up is served anew, in the same row', async () => {
    fleet.free('a1', 'bad')
    fleet.refusing.add('bad')
    const assigner = fleet.assigner()
    expect(await assigner.assign(keyed, patient)).toEqual({ outcome: 'no-capacity' })
    fleet.free('b1', 'good')
    expect(await assigner.assign(keyed, patient)).toMatchObject({ outcome: 'assigned' })
    expect(fleet.assignments).toHaveLength(1)
  })
})

test('a released session becomes DYING and wakes its region', async () => {
  fleet.free('a1')
  const assigner = fleet.assigner()
  await assigner.assign(aRequest({ sessionId: 's' }), patient)
  expect(await assigner.sessions('alice')).toMatchObject([{ sessionId: 's', agentId: 'a1' }])
  expect(await assigner.release('bob', 's')).toEqual([])
  expect(await assigner.release('alice', 's')).toMatchObject([{ id: 'a1', status: 'DYING' }])
  expect(fleet.wakes.at(-1)).toBe('fake/a api')
})
