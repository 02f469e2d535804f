import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isServing } from '../../../src/model/serving.ts'
import type { HostStatus } from '../../../src/model/host.ts'
import type { RegionSnapshot } from '../../../src/model/snapshot.ts'
import { guard } from '../../../src/reconcile/guard.ts'
import { someSnapshot } from '../../support/arbitraries.ts'
import { expectPlan } from '../../support/expect-plan.ts'
import { aHost, aSnapshot, now } from '../../support/factories.ts'

const hosts = ['h1', 'h2', 'h3'].map((id) => aHost({ id }))
const snapshot = aSnapshot({ hosts })
const launch = (count: unknown, imageId: unknown = 'image-2') => ({
  kind: 'launch',
  count,
  imageId,
  reason: 'demand',
})
const drain = (hostId: unknown) => ({ kind: 'drain', hostId, reason: 'spare' })
const terminate = (hostId: unknown) => ({ kind: 'terminate', hostId, reason: 'spare' })

describe('a sound plan', () => {
  it('passes as it is', () => {
    const plan = [
      launch(2),
      drain('h1'),
      terminate('h2'),
      { kind: 'refuse', target: null, reason: 'no more' },
    ]
    expect(guard(snapshot, plan)).toEqual(plan)
    expect(guard(snapshot, [])).toEqual([])
  })

  it('passes without the fields that no decision has', () => {
    const plan = [
      { ...terminate('h1'), launchFailed: 'x' },
      { ...launch(1), surge: 5 },
    ]
    expect(guard(snapshot, plan)).toEqual([terminate('h1'), launch(1)])
  })
})

describe('launches', () => {
  it('are trimmed to max_hosts, and say so', () => {
    expectPlan(guard(snapshot, [launch(9)]))
      .launches(7, 'demand (guard: 7 of 9, max_hosts is 10)')
      .andNothingElse()
  })

  it('share the room under max_hosts', () => {
    expectPlan(guard(snapshot, [launch(5), launch(5), launch(1)]))
      .launches(7)
      .refuses('guard: a launch was refused: max_hosts is 10 (wanted because: demand)')
      .andNothingElse()
  })

  it.each(['LAUNCHING', 'DRAINING', 'UNRESPONSIVE', 'TERMINATING'] as const)(
    'leave room for a %s host, which may cost money',
    (status) => {
      const full = aSnapshot({ hosts: [aHost({ status })], region: { maxHosts: 1 } })
      expectPlan(guard(full, [launch(1)]))
        .refuses(/max_hosts is 1/)
        .andNothingElse()
    },
  )

  it.each([0, -1, 1.5, '2', null, undefined, NaN, Infinity, 2 ** 53, [1]])(
    'of %o hosts are refused',
    (count) => {
      expectPlan(guard(snapshot, [launch(count)]))
        .refuses(/count is no whole number of 1 or more/)
        .andNothingElse()
    },
  )

  it.each(['image-1', 'ami-2', 'no-such-image'])(
    'of image %s, which is not the ACTIVE one, are refused',
    (image) => {
      expectPlan(guard(snapshot, [launch(1, image)]))
        .refuses(`guard: a launch was refused: image ${image} is not the ACTIVE one (wanted because: demand)`)
        .andNothingElse()
    },
  )

  it('are refused while they are held back', () => {
    const blocked = aSnapshot({ launchBlockedUntil: now + 1, region: { launchErrorCode: 'quota-exceeded' } })
    expectPlan(guard(blocked, [launch(1)]))
      .refuses(/held back for now because quota-exceeded/)
      .andNothingElse()
    expectPlan(guard({ ...blocked, now: now + 1 }, [launch(1)]))
      .launches(1)
      .andNothingElse()
  })

  it('are refused in a region that is not enabled', () => {
    expectPlan(guard(aSnapshot({ region: { enabled: false } }), [launch(1)]))
      .refuses(/the region is not enabled/)
      .andNothingElse()
  })

  it('are refused without an ACTIVE image', () => {
    expectPlan(guard(aSnapshot({ activeImage: undefined }), [launch(1)]))
      .refuses(/no image is ACTIVE/)
      .andNothingElse()
  })
})

describe.each([
  ['drain', drain],
  ['terminate', terminate],
])('a %s', (kind, remove) => {
  const refused = (at: RegionSnapshot, hostId: string, why: RegExp) => {
    const guarded = guard(at, [remove(hostId)])
    expectPlan(guarded).refuses(why).andNothingElse()
    expect(guarded[0]).toMatchObject({ target: hostId })
  }

  it('of an unknown or foreign host is refused', () => {
    refused(snapshot, 'other-region-h9', new RegExp(`to ${kind} it was refused: test/one has no such host`))
  })

  it.each(['ALLOCATED', 'CONNECTING', 'RUNNING'] as const)(
    'of a host with an agent that is %s is refused',
    (status) => {
      refused(aSnapshot({ hosts: [aHost({ agents: ['WAITING', status] })] }), 'h1', /it is busy/)
    },
  )

  it('of a protected host is refused', () => {
    refused(aSnapshot({ hosts: [aHost({ protected: true })] }), 'h1', /it is protected/)
  })

  it.each(['DRAINING', 'UNRESPONSIVE', 'TERMINATING'] as const)(
    'of a host that is %s is refused',
    (status) => {
      refused(aSnapshot({ hosts: [aHost({ status })] }), 'h1', new RegExp(`it is ${status} already`))
    },
  )

  it('of the same host twice is done once', () => {
    const guarded = guard(snapshot, [remove('h1'), drain('h1'), terminate('h1')])
    expect(guarded[0]).toEqual(remove('h1'))
    expectPlan(guarded.slice(1))
      .refuses(/this turn has decided it already/, /this turn has decided it already/)
      .andNothingElse()
  })

  it('of a host that upkeep has decided is refused', () => {
    expectPlan(guard(snapshot, [remove('h1')], new Set(['h1'])))
      .refuses(/this turn has decided it already/)
      .andNothingElse()
  })

  it('below min_hosts is refused', () => {
    const atTwo = aSnapshot({ hosts, region: { minHosts: 2 } })
    const guarded = guard(atTwo, [remove('h1'), remove('h2')])
    expect(guarded[0]).toEqual(remove('h1'))
    expectPlan(guarded.slice(1))
      .refuses(/min_hosts is 2/)
      .andNothingElse()
  })

  it('of a host of another image is no matter of min_hosts, unless no image is ACTIVE', () => {
    const old = aSnapshot({ hosts: [aHost({ imageId: 'image-1' })], region: { minHosts: 1 } })
    expect(guard(old, [remove('h1')])).toEqual([remove('h1')])
    refused({ ...old, activeImage: undefined }, 'h1', /min_hosts is 1/)
  })

  it('in a region that is not enabled is refused', () => {
    refused(aSnapshot({ hosts, region: { enabled: false } }), 'h1', /its hosts are kept/)
  })

  it.each([undefined, null, '', 7, 'x'.repeat(201), { id: 'h1' }])('of %o is refused', (hostId) => {
    expectPlan(guard(snapshot, [remove(hostId)]))
      .refuses(/without a hostId/)
      .andNothingElse()
  })
})

describe('a host that is LAUNCHING', () => {
  it('may be drained, and not be terminated before its launch has ended', () => {
    const launching = aSnapshot({ hosts: [aHost({ status: 'LAUNCHING' })] })
    expect(guard(launching, [drain('h1')])).toEqual([drain('h1')])
    expectPlan(guard(launching, [terminate('h1')]))
      .refuses(/its launch has not ended/)
      .andNothingElse()
  })
})

describe('a malformed plan', () => {
  const throwing = {
    get kind(): string {
      throw new Error('no kind for you')
    },
  }
  const cyclic: unknown[] = []
  cyclic.push(cyclic)

  it.each([null, undefined, 7, 'launch', {}, () => [], Promise.resolve([])])(
    'that is %o is one refusal',
    (plan) => {
      expectPlan(guard(snapshot, plan))
        .refuses(/not a list of decisions/)
        .andNothingElse()
    },
  )

  it.each([[[throwing]], [cyclic], [[10n]], [Object.assign([launch(1)], { toJSON: () => 7 })]])(
    'that is no plain JSON is one refusal (%#)',
    (plan) => {
      const guarded = guard(snapshot, plan)
      expect(guarded.filter((decision) => decision.kind === 'launch').length).toBeLessThanOrEqual(1)
      expect(guarded.every((decision) => typeof decision.reason === 'string')).toBe(true)
    },
  )

  it.each([
    [null, /null is no object/],
    [7, /a number is no object/],
    [[launch(1)], /a list is no object/],
    [{}, /it has no kind/],
    [{ kind: 'reboot', reason: 'why not' }, /unknown kind reboot/],
    [{ kind: 'suspect', hostId: 'h1', reason: 'upkeep only' }, /unknown kind suspect/],
    [{ kind: 'drain', hostId: 'h1' }, /a drain without a reason/],
    [{ kind: 'drain', hostId: 'h1', reason: '  ' }, /a drain without a reason/],
    [{ kind: 'drain', hostId: 'h1', reason: 7 }, /a drain without a reason/],
    [{ ...drain('h1'), reason: 'x'.repeat(1001) }, /longer than 1000 characters/],
    [{ ...drain('h1'), reason: 'nul \u0000' }, /cannot be stored as text/],
    [{ ...drain('h1'), reason: 'half \ud800' }, /cannot be stored as text/],
    [{ ...launch(1), imageId: undefined }, /a launch without an imageId/],
    [{ kind: 'refuse', target: 7, reason: 'no' }, /target is no id/],
  ])('with %o refuses that and keeps the rest', (decision, why) => {
    expectPlan(guard(snapshot, [decision, drain('h2')]))
      .refuses(why)
      .drains('h2')
      .andNothingElse()
  })

  it('with holes is no trouble', () => {
    const plan: unknown[] = []
    plan[1] = launch(1)
    expectPlan(guard(snapshot, plan))
      .refuses(/null is no object/)
      .launches(1)
      .andNothingElse()
  })

  it('is not looked at beyond 1,000 decisions', () => {
    const guarded = guard(snapshot, Array(5_000).fill(drain('nobody')))
    expect(guarded).toHaveLength(1_001)
    expect(guarded.at(-1)!.reason).toMatch(/more than 1000 decisions/)
  })
})

describe('hosts that their provider takes', () => {
  const interrupted = (id: string) =>
    aHost({ id, status: 'DRAINING', interruptionAt: now, agents: ['RUNNING'] })
  const region = { maxHosts: 2, maxSurgeHosts: 1, targetFreeAgents: 0 }

  it('may stand beside their replacements, as far as max_surge_hosts goes', () => {
    const one = aSnapshot({ region, hosts: [interrupted('h1'), aHost({ id: 'h2' })] })
    expectPlan(guard(one, [launch(1)]))
      .launches(1)
      .andNothingElse()
    const two = aSnapshot({ region, hosts: [interrupted('h1'), interrupted('h2')] })
    expectPlan(guard(two, [launch(2)])).launches(1)
    const none = aSnapshot({ region, hosts: [aHost({ id: 'h1' }), aHost({ id: 'h2' })] })
    expectPlan(guard(none, [launch(1)])).refuses(/max_hosts is 2/)
  })

  it('are left alone with their stand-ins until the exchange is done', () => {
    const advised = aHost({ id: 'h1', rebalanceAdvisedAt: now })
    const standIn = aHost({ id: 'h2', status: 'PRE_CONNECTION', replaces: 'h1' })
    const pair = aSnapshot({ hosts: [advised, standIn] })
    const why = /its provider advised an exchange/
    expectPlan(guard(pair, [drain('h1'), drain('h2')]))
      .refuses(why, why)
      .andNothingElse()
    const done = aSnapshot({
      hosts: [
        { ...advised, status: 'DRAINING' },
        { ...standIn, status: 'ACTIVE' },
      ],
    })
    expectPlan(guard(done, [drain('h2')])).drains('h2')
    const alone = aSnapshot({ hosts: [advised] })
    expectPlan(guard(alone, [drain('h1')])).drains('h1')
  })

  it('cannot be taken from sessions by the words of a plan', () => {
    const at = aSnapshot({ hosts: [aHost({ agents: ['RUNNING'] })] })
    expectPlan(guard(at, [{ ...drain('h1'), withSessions: true }])).refuses(/it is busy/)
    expectPlan(guard(at, [{ kind: 'terminate', hostId: 'h1', reason: 'r', involuntary: true }])).refuses(
      /busy/,
    )
    const empty = aSnapshot({ hosts: [aHost()] })
    expect(guard(empty, [{ ...drain('h1'), withSessions: true }])).toEqual([drain('h1')])
  })
})

describe('whatever a plan holds', () => {
  const anyDecision = fc.oneof(
    fc.record({
      kind: fc.constant('launch'),
      count: fc.integer({ min: -2, max: 20 }),
      imageId: fc.constantFrom('image-2', 'image-1'),
      reason: fc.constant('r'),
    }),
    fc.record({
      kind: fc.constantFrom('drain', 'terminate'),
      hostId: fc.nat(14).map((index) => `h${String(index).padStart(3, '0')}`),
      reason: fc.constant('r'),
    }),
    fc.anything(),
  )

  it('the guard keeps the bounds of the region, and throws nothing', () => {
    fc.assert(
      fc.property(someSnapshot, fc.array(anyDecision, { maxLength: 30 }), (at, plan) => {
        const guarded = guard(at, plan)
        const launched = guarded.reduce((sum, one) => sum + (one.kind === 'launch' ? one.count : 0), 0)
        const removed = guarded.flatMap((one) => ('hostId' in one ? [one.hostId] : []))
        const removedHosts = at.hosts.filter((host) => removed.includes(host.id))
        const legal: readonly HostStatus[] = ['LAUNCHING', 'PRE_CONNECTION', 'ACTIVE']
        if (launched > 0) {
          const taken = at.hosts.filter((host) => host.interruptionAt ?? host.rebalanceAdvisedAt).length
          const surge = Math.min(at.region.maxSurgeHosts, taken)
          expect(at.hosts.length + launched).toBeLessThanOrEqual(at.region.maxHosts + surge)
          expect(at.region.enabled && at.activeImage !== undefined).toBe(true)
          expect(at.launchBlockedUntil ?? 0).toBeLessThanOrEqual(at.now)
        }
        expect(new Set(removed).size).toBe(removed.length)
        expect(removedHosts).toHaveLength(removed.length)
        for (const host of removedHosts) {
          expect(host).toMatchObject({ protected: false, liveAgents: 0 })
          expect(legal).toContain(host.status)
        }
        const serving = at.hosts.filter((host) => isServing(host, at))
        const servingAfter = serving.filter((host) => !removed.includes(host.id))
        expect(servingAfter.length).toBeGreaterThanOrEqual(Math.min(serving.length, at.region.minHosts))
      }),
      { numRuns: 2000 },
    )
  })
})
