import fc from 'fast-check'
import { expect, it } from 'vitest'

import { noticeOf } from '../../../src/manager-link/interruption-notice.ts'
import type { Interruption } from '../../../src/muster-v1/messages.ts'

const now = Date.UTC(2026, 10, 21, 12)
const said = (changes: Partial<Interruption> = {}) =>
  noticeOf({ kind: 'INTERRUPTION', action: 'terminate', at: now + 1000, ...changes }, now)

it('is what the provider said', () => {
  expect(said()).toEqual({ kind: 'interruption', action: 'terminate', at: now + 1000 })
  expect(said({ kind: 'REBALANCE', action: '' })).toEqual({ kind: 'rebalance', action: '', at: now + 1000 })
  expect(said({ at: now - 1000 })?.at).toBe(now - 1000)
})

it('holds nothing that a manager made up: no time that is none, no end beyond a day, no words', () => {
  expect(said({ kind: 'INTERRUPTION_KIND_UNSPECIFIED' })).toBeUndefined()
  for (const at of [0, NaN, Infinity, 2 ** 60]) expect(said({ at })).toBeUndefined()
  expect(said({ action: 'terminate\n(by order)' })?.action).toBe('')
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.string(), (at, action) => {
      const notice = said({ at, action })
      if (notice === undefined) return
      expect(notice.at).toBeLessThanOrEqual(now + 86_400_000)
      expect(new Date(notice.at).toISOString()).toMatch(/Z$/)
      expect(notice.action).toMatch(/^[a-z-]{0,20}$/)
    }),
  )
})
