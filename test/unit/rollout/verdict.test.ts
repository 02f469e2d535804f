import { describe, expect, test } from 'vitest'
import { defaultRolloutOptions } from '../../../src/model/rollout.ts'
import { judgeCanary } from '../../../src/rollout/verdict.ts'
import { Chance } from '../../../src/simulation/chance.ts'

const minutes = 60_000

describe('bad', () => {
  test('by sessions that fail, as soon as there are 20', () => {
    expect(judge([4, 19], [0, 180], 1000)).toMatchObject({ kind: 'watch' })
    expect(judge([4, 20], [0, 180], 1000)).toEqual({
      kind: 'bad',
      reason:
        '4 of 20 sessions of the new image failed, 0 of 180 of the old one: at least 5.7 points worse (95 %)',
    })
  })

  test('only beyond the tolerance', () => {
    expect(judge([30, 100], [0, 1000], 1000).kind).toBe('bad')
    expect(judge([30, 100], [0, 1000], 1000, { canary_tolerance: 0.25 }).kind).toBe('watch')
    expect(judge([30, 100], [250, 1000], 1000).kind).toBe('watch')
  })

  test('by three hosts in a row that never connected, before any session', () => {
    expect(judge([0, 0], [0, 0], 0, {}, 2).kind).toBe('watch')
    expect(judge([0, 0], [0, 0], 0, {}, 3)).toEqual({
      kind: 'bad',
      reason: '3 hosts of the new image in a row never connected',
    })
  })

  test('when nobody is left on the old image to compare with', () => {
    expect(judge([12, 60], [0, 0], 1000).kind).toBe('bad')
    expect(judge([12, 60], [1, 1], 1000).kind).toBe('bad')
    expect(judge([1, 60], [0, 0], 1000).kind).toBe('watch')
  })
})

describe('good', () => {
  test('after the shortest time, with enough sessions', () => {
    expect(judge([0, 60], [0, 600], 10 * minutes - 1)).toEqual({
      kind: 'watch',
      reason: '0 of 60 sessions of the new image failed, 0 of 600 of the old one: good so far',
      nextLookMs: 1,
    })
    expect(judge([0, 60], [0, 600], 10 * minutes)).toEqual({
      kind: 'good',
      reason: '0 of 60 sessions of the new image failed, 0 of 600 of the old one',
    })
  })

  test('is not yet said of what may still fail a fifth of its sessions', () => {
    expect(judge([0, 20], [0, 600], 10 * minutes)).toEqual({
      kind: 'watch',
      reason:
        '0 of 20 sessions of the new image failed, 0 of 600 of the old one: ' +
        'it may still be 24.9 points worse, and must be surely less than 15.0 points',
      nextLookMs: 140 * minutes,
    })
    expect(judge([0, 38], [0, 600], 10 * minutes).kind).toBe('good')
  })

  test.each([1, 3, 5, 10, 20, 40, 500])(
    'never needs twice the %i sessions asked for, when none fails',
    (least) => {
      expect(judge([0, 2 * least], [0, 2000], 10 * minutes, { canary_min_sessions: least }).kind).toBe('good')
    },
  )
})

describe('too few', () => {
  test('at the deadline', () => {
    const soon = judge([0, 1], [0, 3], 150 * minutes - 1)
    expect(soon).toMatchObject({ kind: 'watch', nextLookMs: 1 })
    expect(judge([0, 1], [0, 3], 150 * minutes)).toEqual({
      kind: 'too-few',
      reason: '0 of 1 session of the new image failed, 0 of 3 of the old one: 20 of the new one are needed',
    })
    expect(judge([0, 30], [0, 90], 150 * minutes).kind).toBe('too-few')
  })

  test('not of what is known to be bad or good', () => {
    expect(judge([9, 30], [0, 90], 500 * minutes).kind).toBe('bad')
    expect(judge([0, 60], [0, 90], 500 * minutes).kind).toBe('good')
  })
})

// Sessions come at one pace; it is looked after each, and every 5 s.
describe('of 1,000 canaries', () => {
  test.each([
    { share: 0.05, sessions: 20, fails: 0.1 },
    { share: 0.2, sessions: 300, fails: 0.05 },
    { share: 0.5, sessions: 20, fails: 0.1 },
    { share: 0.5, sessions: 100, fails: 0.005 },
    { share: 0.5, sessions: 1000, fails: 0.1 },
  ])(
    'fewer than 5 % roll back an image as good as the old one: $sessions sessions, share $share, $fails fail',
    ({ share, sessions, fails }) => {
      expect(countBad({ share, sessions, candidate: fails, control: fails })).toBeLessThan(50)
    },
  )

  test.each([
    { share: 0.05, sessions: 20, fails: 0 },
    { share: 0.05, sessions: 20, fails: 0.02 },
    { share: 0.2, sessions: 30, fails: 0.01 },
    { share: 0.5, sessions: 20, fails: 0.02 },
    { share: 0.5, sessions: 3000, fails: 0.01 },
    { share: 0.98, sessions: 100, fails: 0.02 },
    { share: 1, sessions: 20, fails: 0 },
  ])(
    'more than 99 % catch one that fails a fifth: $sessions sessions, share $share, $fails of the old fail',
    ({ share, sessions, fails }) => {
      expect(countBad({ share, sessions, candidate: 0.2, control: fails })).toBeGreaterThan(990)
    },
  )
})

function countBad(setting: { share: number; sessions: number; candidate: number; control: number }): number {
  const chance = new Chance(Math.round(1000 * (setting.share + setting.sessions + setting.control)))
  let bad = 0
  for (let run = 0; run < 1000; run++) if (endsBad(setting, chance)) bad += 1
  return bad
}

/** `sessions`: how many of the candidate are to be expected in 600 s. */
function endsBad(
  {
    share,
    sessions,
    candidate,
    control,
  }: { share: number; sessions: number; candidate: number; control: number },
  chance: Chance,
): boolean {
  const arms = { candidate: { sessions: 0, failed: 0 }, control: { sessions: 0, failed: 0 } }
  const betweenMs = (600_000 * share) / sessions
  for (let watchedMs = betweenMs, looked = 0; ; watchedMs += betweenMs) {
    for (; looked < watchedMs; looked += 5000) {
      const { kind } = judgeCanary({
        health: { ...arms, neverConnected: 0 },
        options: defaultRolloutOptions,
        watchedMs: looked,
      })
      if (kind !== 'watch') return kind === 'bad'
    }
    const isChosen = chance.happens(share)
    const arm = isChosen ? arms.candidate : arms.control
    arm.sessions += 1
    if (chance.happens(isChosen ? candidate : control)) arm.failed += 1
    const { kind } = judgeCanary({
      health: { ...arms, neverConnected: 0 },
      options: defaultRolloutOptions,
      watchedMs,
    })
    if (kind !== 'watch') return kind === 'bad'
  }
}

function judge(
  [candidateFailed, candidateSessions]: readonly [number, number],
  [controlFailed, controlSessions]: readonly [number, number],
  watchedMs: number,
  options: Partial<typeof defaultRolloutOptions> = {},
  neverConnected = 0,
) {
  return judgeCanary({
    health: {
      candidate: { sessions: candidateSessions, failed: candidateFailed },
      control: { sessions: controlSessions, failed: controlFailed },
      neverConnected,
    },
    options: { ...defaultRolloutOptions, ...options },
    watchedMs,
  })
}
