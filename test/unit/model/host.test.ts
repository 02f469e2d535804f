import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { HostStatus, HostStatusBefore } from '../../../src/model/host.ts'
import { hostStatuses, hostStatusesBefore, hostTransitionIsLegal } from '../../../src/model/host.ts'

const someStatus = fc.constantFrom(...hostStatuses)

/** A life as the database would let it pass: each wish is tried, and what is legal happens. */
function live(wishes: readonly HostStatus[]): readonly HostStatus[] {
  const life: HostStatus[] = ['LAUNCHING']
  let before: HostStatusBefore | null = null
  for (const wish of wishes) {
    const status: HostStatus = life.at(-1)!
    if (!hostTransitionIsLegal(status, wish, before)) continue
    before = wish === 'UNRESPONSIVE' ? (status as HostStatusBefore) : null
    life.push(wish)
  }
  return life
}

const someLife = fc.array(someStatus, { minLength: 20, maxLength: 60 }).map(live)

describe('the life of a host', () => {
  it('never returns from DRAINING to serving', () => {
    fc.assert(
      fc.property(someLife, (life) => {
        const drained = life.indexOf('DRAINING')
        if (drained === -1) return
        const after = life.slice(drained)
        for (const status of ['LAUNCHING', 'PRE_CONNECTION', 'ACTIVE'] as const)
          expect(after).not.toContain(status)
      }),
    )
  })

  it('returns from UNRESPONSIVE only to what it was, or goes', () => {
    fc.assert(
      fc.property(someLife, (life) => {
        for (const [place, status] of life.entries()) {
          if (status !== 'UNRESPONSIVE' || place + 1 >= life.length) continue
          expect([life[place - 1], 'DRAINING', 'TERMINATING']).toContain(life[place + 1])
        }
      }),
    )
  })

  it('ends: TERMINATED is last, and only TERMINATED follows TERMINATING', () => {
    fc.assert(
      fc.property(someLife, (life) => {
        const end = life.indexOf('TERMINATED')
        if (end !== -1) expect(life).toHaveLength(end + 1)
        const going = life.indexOf('TERMINATING')
        if (going !== -1) expect(life.slice(going + 1).every((status) => status === 'TERMINATED')).toBe(true)
      }),
    )
  })

  it('does go through every state', () => {
    const seen = new Set(fc.sample(someLife, { numRuns: 300, seed: 1 }).flat())
    expect([...seen].sort()).toEqual([...hostStatuses].sort())
  })

  it.each([
    ['DRAINING', ['LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE']],
    ['UNRESPONSIVE', ['PRE_CONNECTION', 'ACTIVE', 'DRAINING']],
    ['TERMINATING', ['LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'DRAINING', 'UNRESPONSIVE']],
    ['TERMINATED', ['LAUNCHING', 'TERMINATING']],
    ['LAUNCHING', []],
  ] as const)('may go to %s from %j', (becomes, from) => {
    expect(hostStatusesBefore(becomes)).toEqual(from)
  })

  it('knows no way from a state to itself', () => {
    for (const status of hostStatuses) expect(hostTransitionIsLegal(status, status, 'ACTIVE')).toBe(false)
  })
})
