import { beforeEach, describe, expect, test } from 'vitest'

import type { AssignAnswer } from '../../../src/assign/seams.ts'
import { settle } from '../../support/test-clock.ts'
import { aRequest, patient, SmallFleet } from '../../support/small-fleet.ts'

let fleet: SmallFleet

beforeEach(() => {
  fleet = new SmallFleet()
  fleet.region('fake/a')
})

const waiting = (userId: string, overrides = {}) => aRequest({ userId, waitMs: 10_000, ...overrides })

/** Notes who is answered, in order. */
function noteOrder(served: string[], userId: string, answer: Promise<AssignAnswer>): Promise<AssignAnswer> {
  return answer.then((given) => {
    if (given.outcome === 'assigned') served.push(userId)
    return given
  })
}

describe('a request that may wait', () => {
  test('is served when an agent becomes free', async () => {
    const answer = fleet.assigner().assign(waiting('alice'), patient)
    await settle()
    fleet.free('a1')
    expect(await answer).toMatchObject({ outcome: 'assigned', seat: { agentId: 'a1' } })
    expect(fleet.misses).toEqual([])
  })

  test('is served when the agent became free while the answer to its own claim was on its way', async () => {
    let calls = 0
    fleet.latency = async () => {
      calls += 1
      if (calls === 2) fleet.free('a1')
    }
    const answer = fleet.assigner().assign(waiting('alice'), patient)
    await settle()
    expect(await answer).toMatchObject({ outcome: 'assigned' })
  })

  test('is served with the rest when several agents appear in one change', async () => {
    const assigner = fleet.assigner()
    const answers = ['alice', 'bob', 'carol'].map((user) => assigner.assign(waiting(user), patient))
    await settle()
    fleet.hint = () => undefined
    for (const id of ['a1', 'a2', 'a3']) fleet.free(id)
    fleet.hint = (deliver) => deliver()
    fleet.changed('fake/a')
    fleet.hint = () => undefined
    const outcomes = (await Promise.all(answers)).map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['assigned', 'assigned', 'assigned'])
  })

  test('is told of no capacity when its time is up, and recorded then', async () => {
    const answer = fleet.assigner().assign(waiting('alice'), patient)
    await settle()
    await fleet.clock.advance(9_999)
    await settle()
    expect(fleet.misses).toEqual([])
    await fleet.clock.advance(1)
    expect(await answer).toEqual({ outcome: 'no-capacity' })
    expect(fleet.misses).toHaveLength(1)
  })

  test('counts once, as waiting in its first enabled region, and wakes that one', async () => {
    fleet.region('fake/off', { enabled: false })
    fleet.region('fake/b')
    const assigner = fleet.assigner()
    const answer = assigner.assign(waiting('alice', { regions: ['fake/off', 'fake/b', 'fake/a'] }), patient)
    await settle()
    const counts = () => ['fake/off', 'fake/b', 'fake/a'].map((id) => assigner.waitingUsers(id))
    expect(counts()).toEqual([0, 1, 0])
    expect(fleet.wakes).toEqual(['fake/b waiting'])
    fleet.free('a1')
    await answer
    expect(counts()).toEqual([0, 0, 0])
  })

  test('leaves the line when its client hangs up', async () => {
    const assigner = fleet.assigner()
    const gone = new AbortController()
    const answer = assigner.assign(waiting('alice'), gone.signal)
    await settle()
    gone.abort()
    expect(await answer).toEqual({ outcome: 'given-up' })
    expect(assigner.waitingUsers('fake/a')).toBe(0)
    fleet.free('a1')
    await settle()
    expect(fleet.agents.get('a1')?.status).toBe('WAITING')
  })

  test('is sent away when the region is disabled or changes its version', async () => {
    fleet.region('fake/b')
    const assigner = fleet.assigner()
    const disabled = assigner.assign(waiting('alice'), patient)
    const outdated = assigner.assign(waiting('bob', { regions: ['fake/b'], version: 'v1' }), patient)
    const patientOne = assigner.assign(waiting('carol', { regions: ['fake/b'] }), patient)
    await settle()
    fleet.regions.get('fake/a')!.region.enabled = false
    fleet.changed('fake/a')
    fleet.regions.get('fake/b')!.version = 'v2'
    fleet.changed('fake/b')
    expect(await disabled).toEqual({ outcome: 'region-not-enabled' })
    expect(await outdated).toEqual({ outcome: 'version-mismatch', served: { 'fake/b': ['v2'] } })
    fleet.free('b1', 'h2', 'fake/b')
    expect(await patientOne).toMatchObject({ outcome: 'assigned' })
  })

  test('is served when the stream of a host comes back, though no row changed', async () => {
    fleet.free('a1')
    fleet.disconnected.add('h1')
    const assigner = fleet.assigner()
    const answer = assigner.assign(waiting('alice'), patient)
    await settle()
    fleet.disconnected.delete('h1')
    assigner.recheck('fake/a')
    expect(await answer).toMatchObject({ outcome: 'assigned' })
  })

  test('is served within half a second when nobody said that an agent is free', async () => {
    fleet.free('a1')
    fleet.disconnected.add('h1')
    const answer = fleet.assigner().assign(waiting('alice'), patient)
    await settle()
    fleet.disconnected.delete('h1')
    await fleet.clock.advance(500)
    expect(await answer).toMatchObject({ outcome: 'assigned' })
  })

  test('goes back to its own place when its agent fails', async () => {
    const served: string[] = []
    const assigner = fleet.assigner()
    const answers = ['alice', 'bob'].map((user) =>
      noteOrder(served, user, assigner.assign(waiting(user), patient)),
    )
    await settle()
    fleet.refusing.add('bad')
    fleet.free('x1', 'bad')
    await settle()
    expect(fleet.agents.get('x1')?.status).toBe('DYING')
    fleet.free('a1', 'good')
    await settle()
    expect(served).toEqual(['alice'])
    fleet.free('a2', 'good')
    await Promise.all(answers)
    expect(served).toEqual(['alice', 'bob'])
  })

  test('is unavailable when the daemon stops', async () => {
    const assigner = fleet.assigner()
    const answer = assigner.assign(waiting('alice'), patient)
    const outcome = expect(answer).rejects.toMatchObject({ code: 'unavailable' })
    await settle()
    assigner.stop()
    await outcome
    await expect(assigner.assign(waiting('bob'), patient)).rejects.toMatchObject({ code: 'unavailable' })
  })

  test('does not wait when the room is full', async () => {
    const assigner = fleet.assigner({ queueLimit: 1 })
    const first = assigner.assign(waiting('alice'), patient)
    await settle()
    expect(await assigner.assign(waiting('bob'), patient)).toEqual({ outcome: 'no-capacity' })
    fleet.free('a1')
    expect(await first).toMatchObject({ outcome: 'assigned' })
  })

  test('is unavailable when its claim fails; the others keep their places', async () => {
    const assigner = fleet.assigner()
    const first = assigner.assign(waiting('alice'), patient)
    const failed = expect(first).rejects.toMatchObject({ code: 'unavailable' })
    const second = assigner.assign(waiting('bob'), patient)
    await settle()
    fleet.databaseIsAway = true
    fleet.free('a1')
    await failed
    fleet.databaseIsAway = false
    await fleet.clock.advance(500)
    expect(await second).toMatchObject({ outcome: 'assigned' })
  })
})

describe('first come, first served', () => {
  test('in order of arrival, whoever is added to the fleet at once', async () => {
    const served: string[] = []
    const assigner = fleet.assigner()
    const users = ['u1', 'u2', 'u3', 'u4']
    const answers = users.map((user) => noteOrder(served, user, assigner.assign(waiting(user), patient)))
    await settle()
    for (const id of ['a1', 'a2', 'a3', 'a4']) fleet.free(id)
    await Promise.all(answers)
    expect(served).toEqual(users)
  })

  test('who comes while others wait stands behind them; who will not wait has no capacity', async () => {
    const assigner = fleet.assigner()
    const first = assigner.assign(waiting('alice'), patient)
    await settle()
    let go: (() => void) | undefined
    const held = new Promise<void>((resolve) => (go = resolve))
    fleet.latency = () => held
    fleet.free('a1')
    const claims = fleet.claims.length
    const impatient = assigner.assign(aRequest({ userId: 'bob' }), patient)
    go?.()
    expect(await impatient).toEqual({ outcome: 'no-capacity' })
    expect(await first).toMatchObject({ outcome: 'assigned' })
    expect(fleet.claims).toHaveLength(claims + 1)
  })

  test('nobody overtakes a head that another region is claiming for', async () => {
    fleet.region('fake/b')
    const assigner = fleet.assigner()
    const served: string[] = []
    const both = noteOrder(
      served,
      'alice',
      assigner.assign(waiting('alice', { regions: ['fake/a', 'fake/b'] }), patient),
    )
    const behind = noteOrder(served, 'bob', assigner.assign(waiting('bob', { regions: ['fake/b'] }), patient))
    await settle()
    fleet.free('a1')
    fleet.free('b1', 'h2', 'fake/b')
    expect(await both).toMatchObject({ seat: { agentId: 'a1' } })
    expect(await behind).toMatchObject({ seat: { agentId: 'b1' } })
    expect(served).toEqual(['alice', 'bob'])
    expect(fleet.claims.filter(({ request }) => request.userId === 'alice')).toHaveLength(3)
  })
})
