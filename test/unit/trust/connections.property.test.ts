import fc from 'fast-check'
import { expect, it } from 'vitest'

import type { Act } from '../../support/trust-world.ts'
import { actKinds, graceMs, TrustWorld } from '../../support/trust-world.ts'

const minute = 60_000
const day = 86_400_000

const act: fc.Arbitrary<Act> = fc.record({
  kind: fc.oneof(
    // What a fleet does most.
    { weight: 2, arbitrary: fc.constantFrom('enrol', 'renew', 'connect', 'connect', 'connect') },
    { weight: 1, arbitrary: fc.constantFrom(...actKinds) },
  ),
  which: fc.nat(31),
  isForeign: fc.boolean(),
  ms: fc.oneof(
    { weight: 6, arbitrary: fc.nat(40) },
    { weight: 2, arbitrary: fc.constantFrom(200, 1000) },
    { weight: 1, arbitrary: fc.constantFrom(minute, 10 * minute, day, 40 * day) },
  ),
})
const history = fc.array(act, { minLength: 20, maxLength: 60, size: 'max' })

it('lets no connection outlive its right by 100 ms, nor whoever took it being answered, and closes none that has it', async () => {
  const counts = { admitted: 0, refused: 0, closed: 0, shared: 0, answered: 0 }
  await fc.assert(
    fc.asyncProperty(history, fc.integer(), async (acts, seed) => {
      const world = new TrustWorld(seed)
      for (const one of acts) await world.do(one)
      await world.do({ kind: 'pass', which: 0, isForeign: false, ms: 2 * graceMs })
      for (const name of Object.keys(counts) as (keyof typeof counts)[]) counts[name] += world.counts[name]
    }),
    { numRuns: 1_500 },
  )
  // It was about something.
  for (const [name, count] of Object.entries(counts))
    expect({ name, isMany: count > 1_000 }).toEqual({ name, isMany: true })
})
