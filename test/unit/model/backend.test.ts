import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { BackendStatus } from '../../../src/model/backend.ts'
import {
  backendStatuses,
  backendTransitionIsLegal,
  revokeReasons,
  terminateReasons,
} from '../../../src/model/backend.ts'

/** A life as the database would let it pass: each wish is tried, and what is legal happens. */
function live(wishes: readonly BackendStatus[]): readonly BackendStatus[] {
  const life: BackendStatus[] = ['ENABLED']
  for (const wish of wishes) if (backendTransitionIsLegal(life.at(-1)!, wish)) life.push(wish)
  return life
}

const someLife = fc
  .array(fc.constantFrom(...backendStatuses), { minLength: 20, maxLength: 60 })
  .map((wishes) => live(wishes))

describe('the life of a backend', () => {
  it('never goes from ended to ending: what is TERMINATED must be enabled first', () => {
    fc.assert(
      fc.property(someLife, (life) => {
        for (const [place, status] of life.entries()) {
          if (status === 'TERMINATED' && place + 1 < life.length) expect(life[place + 1]).toBe('ENABLED')
        }
      }),
    )
  })

  it('can be ended and enabled from wherever it is, and never stays by a transition', () => {
    for (const was of backendStatuses) {
      expect(backendTransitionIsLegal(was, 'TERMINATED')).toBe(was !== 'TERMINATED')
      expect(backendTransitionIsLegal(was, 'ENABLED')).toBe(was !== 'ENABLED')
      expect(backendTransitionIsLegal(was, was)).toBe(false)
    }
  })

  it('does go through every state', () => {
    const seen = new Set(fc.sample(someLife, { numRuns: 100, seed: 1 }).flat())
    expect([...seen].sort()).toEqual([...backendStatuses].sort())
  })
})

it("knows the seed's types of termination by their place, and each of them as a reason to revoke", () => {
  expect(terminateReasons.slice(0, 2)).toEqual(['certificate-revoked', 'user'])
  for (const reason of terminateReasons) expect(revokeReasons).toContain(reason)
})
