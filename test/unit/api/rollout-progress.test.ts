import { describe, expect, it } from 'vitest'

import { rolloutOptions } from '../../../src/api/rollout-options.ts'
import { deadlineOf, figuresOf, isOverdue, waitsFor } from '../../../src/api/rollout-progress.ts'
import { parseRolloutOptions } from '../../../src/hasura/rollout-rows.ts'
import type { Rollout, RolloutOptions } from '../../../src/model/rollout.ts'
import { defaultRolloutOptions, rolloutStates } from '../../../src/model/rollout.ts'
import { aHost, aRollout, aSnapshot, now } from '../../support/factories.ts'

const options = (changes: Partial<RolloutOptions>) => ({ options: { ...defaultRolloutOptions, ...changes } })
const words = (changes: Partial<Rollout>, snapshot = aSnapshot(), others: readonly Rollout[] = []) => {
  const rollout = aRollout(changes)
  return waitsFor(rollout, { snapshot, members: [rollout, ...others] })
}

describe('what a roll-out waits for', () => {
  it('is the hosts that its buffer lacks, and room for them', () => {
    expect(words({})).toBe('the next turn of its region')
    expect(words({ counts: { missing_hosts: 1 } })).toBe('1 more host of the new image')
    expect(words({ counts: { missing_hosts: 3, without_room: 2 } })).toBe(
      '3 more hosts of the new image; max_hosts and max_surge_hosts leave no room for 2 of them',
    )
  })

  it('is its channel’s version, a person, or the next turn, as it is told to be switched', () => {
    const ready = { state: 'READY' } as const
    expect(words(ready)).toBe('channel default to have 3.0.0; nobody has said what it has')
    expect(words(ready, aSnapshot({ channelVersion: '2.0.0' }))).toBe(
      'channel default to have 3.0.0; it has 2.0.0',
    )
    expect(words(ready, aSnapshot({ channelVersion: 'v3.0.0+build.7' }))).toBe('the next turn of its region')
    expect(words({ ...ready, ...options({ switch: 'hand' }) })).toBe('a person to switch it')
    expect(words({ ...ready, ...options({ switch: 'ready' }) })).toBe('the next turn of its region')
    expect(words({ ...ready, switchWanted: true })).toBe('the next turn of its region')
  })

  it('is the rest of its group once it is cleared itself', () => {
    const cleared = { state: 'READY', groupId: 'g', isCleared: true } as const
    const others = [
      aRollout({ id: 'b', regionId: 'test/b', groupId: 'g' }),
      aRollout({ id: 'c', regionId: 'test/c', groupId: 'g', state: 'READY', isCleared: true }),
      aRollout({ id: 'd', regionId: 'test/d', groupId: 'g', state: 'ROLLED_BACK' }),
    ]
    expect(words(cleared, aSnapshot(), others)).toBe('the others of its group: test/b is PREPARING')
    expect(words(cleared, aSnapshot(), others.slice(1))).toBe('the next turn of its region')
  })

  it('is its canary: to begin, for its sessions, its time, and a clear verdict', () => {
    const canary = { state: 'CANARY', canaryShare: 0.1, ...options({ switch: 'ready' }) } as const
    const seen = (sessions: number, changes: Partial<Rollout> = {}) => {
      const health = {
        candidate: { sessions, failed: 0 },
        control: { sessions: 0, failed: 0 },
        neverConnected: 0,
      }
      return waitsFor(aRollout({ ...canary, ...changes }), { snapshot: aSnapshot(), members: [], health })
    }
    expect(words({ ...canary, state: 'READY' })).toBe('the next turn of its region, which begins its canary')
    expect(words(canary)).toBe('its canary to see 20 more sessions')
    expect(seen(19)).toBe('its canary to see 1 more session')
    expect(seen(20)).toBe('its canary, until 2026-11-20T12:09:00.000Z at least')
    const late = { stateSince: now - 700_000 }
    expect(seen(20, late)).toBe('its canary to be good for certain')
    expect(seen(20, { ...late, ...options({}) })).toMatch(/^channel default to have 3.0.0/)
    expect(seen(0, { switchWanted: true })).toBe('the next turn of its region')
    const overdue = { ...canary, stateSince: now - 9_000_000 }
    expect(isOverdue(aRollout({ ...overdue, stateSince: overdue.stateSince + 1 }), now)).toBe(false)
    expect(isOverdue(aRollout(overdue), now)).toBe(true)
    expect(isOverdue(aRollout({ ...overdue, paused: true }), now)).toBe(false)
    expect(isOverdue(aRollout({ ...overdue, isCleared: true }), now)).toBe(false)
  })

  it('is the end of its bake, and then of the hosts that nobody shall have any more', () => {
    expect(words({ state: 'SWITCHED' })).toBe('the end of its bake at 2026-11-20T12:09:00.000Z')
    const hosts = [
      aHost({ id: 'old', status: 'DRAINING', agents: ['RUNNING', 'RUNNING'] }),
      aHost({ id: 'new', imageId: 'image-3', status: 'TERMINATING' }),
    ]
    expect(words({ state: 'DRAINING' }, aSnapshot({ hosts }))).toBe(
      '1 host of the old image to end, on which 2 sessions run',
    )
    expect(words({ state: 'ROLLING_BACK' }, aSnapshot({ hosts }))).toBe(
      '1 host of the new image to end, on which 0 sessions run',
    )
    expect(words({ state: 'DRAINING' }, aSnapshot({ hosts: [] }))).toBe('the next turn of its region')
  })

  it('is what a person has said, whatever its state; and nothing when it is over', () => {
    for (const state of ['PREPARING', 'READY', 'CANARY', 'SWITCHED'] as const) {
      expect(words({ state, paused: true })).toBe('a person to resume it')
      expect(words({ state, paused: true, rollbackWanted: 'x' })).toBe(
        'the next turn of its region, which takes it back',
      )
    }
    for (const state of ['DONE', 'ROLLED_BACK'] as const) {
      expect(words({ state, paused: true, rollbackWanted: 'x' })).toBeNull()
    }
  })
})

it('each state has the deadline that its options say, and none while it is paused', () => {
  const given = options({ prepare_s: 1, ready_s: 2, canary_s: 3, bake_s: 4 })
  const of = (changes: Partial<Rollout>) => {
    const at = deadlineOf(aRollout({ stateSince: 0, ...given, ...changes }), aSnapshot())
    return at === null ? null : at / 1000
  }
  expect(rolloutStates.map((state) => of({ state }))).toEqual([1, 2, 3, 4, 3600, null, 3600, null])
  expect(rolloutStates.map((state) => of({ state, paused: true }))).toEqual([
    ...[null, null, null, null, 3600, null, 3600, null],
  ])
  expect(of({ state: 'READY', ...options({}) })).toBeNull()
})

it('an image’s figures count its own hosts only, and as free what can be had', () => {
  const hosts = [
    aHost({ id: 'a', agents: ['WAITING', 'RUNNING'] }),
    aHost({ id: 'b', status: 'PRE_CONNECTION', agents: ['WAITING'] }),
    aHost({ id: 'c', imageId: 'image-3' }),
    aHost({ id: 'd', status: 'DRAINING', agents: ['RUNNING'] }),
  ]
  expect(figuresOf('image-2', aSnapshot({ hosts }))).toEqual({ hosts: 3, coming: 1, free: 1, live: 2 })
  expect(figuresOf('image-2', undefined)).toEqual({ hosts: 0, coming: 0, free: 0, live: 0 })
})

describe('options of one roll-out', () => {
  const values = [
    -1,
    0,
    0.5,
    1,
    2,
    1.5,
    31_536_000,
    31_536_001,
    1_000_001,
    null,
    true,
    'wait',
    'hand',
    '7',
    {},
  ]

  it.each(Object.keys(defaultRolloutOptions) as (keyof RolloutOptions)[])(
    'take for %s what a row takes, and say what a row passes over',
    (name) => {
      const taken = values.filter((value) => rolloutOptions.safeParse({ [name]: value }).success)
      const kept = values.filter((value) => parseRolloutOptions({ [name]: value })[name] === value)
      // A row's default is the same whether it was said or not.
      const isDefault = (value: unknown) => value === defaultRolloutOptions[name]
      expect(taken.filter((value) => !isDefault(value))).toEqual(kept.filter((value) => !isDefault(value)))
      expect(taken.length).toBeLessThan(values.length)
    },
  )

  it('name those that there are when there is no such one', () => {
    const { error } = rolloutOptions.safeParse({ bake: 1, prepare_s: 1 })
    expect(error?.issues.map(({ message }) => message)).toEqual([
      `there is no option bake; there are ${Object.keys(defaultRolloutOptions).join(', ')}`,
    ])
  })
})
