/**
 * The store in memory gives what the real one gives: the same random operations on both, their answers and all their rows
 * compared after each.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { MusterError } from '../../../src/model/errors.ts'
import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import type { Call } from '../../support/store-operation.ts'
import { operationKinds } from '../../support/store-operation.ts'
import { begin, someOperations } from '../../support/store-operations.ts'
import type { Side } from '../../support/store-sides.ts'
import { memorySide, realSide } from '../../support/store-sides.ts'
import { runs } from '../../support/thoroughness.ts'

const projectDir = new URL('../../../config/hasura', import.meta.url).pathname

describe('the store in memory', () => {
  let fleet: AnEndpoint
  // PostgreSQL where there is one.
  beforeAll(async () => {
    fleet = await anEndpoint(databaseKinds.at(-1)!, { projectDir })
  })
  afterAll(() => fleet.close())

  it('answers as the real one, and leaves the same rows, after each of random operations', async () => {
    const effective = new Map<string, number>()
    await fc.assert(
      fc.asyncProperty(someOperations, async (operations) => {
        let now = 1_790_000_000_000
        const memory = await memorySide(() => now)
        const real = await realSide(fleet, () => now, memory)
        for (const side of [memory, real]) await begin(side)
        expect(await memory.dump()).toEqual(await real.dump())
        let before = ''
        for (const operation of operations) {
          now += 1_000
          const call = operation.prepare(memory.db)
          const [answer, wanted] = [await outcome(call, memory), await outcome(call, real)]
          expect(answer, operation.kind).toEqual(wanted)
          const rows = await memory.dump()
          expect(rows, operation.kind).toEqual(await real.dump())
          const after = JSON.stringify([rows, memory.db.lease])
          if (after !== before) effective.set(operation.kind, (effective.get(operation.kind) ?? 0) + 1)
          before = after
        }
      }),
      { numRuns: runs(10, 60) },
    )
    // What never wrote anything was not compared.
    const idle = operationKinds.filter((kind) => !effective.has(kind))
    expect(idle.length, `never wrote: ${idle.join(', ')}`).toBeLessThanOrEqual(runs(12, 1))
  })
})

async function outcome(call: Call, side: Side): Promise<unknown> {
  try {
    return side.alike(await call(side))
  } catch (error) {
    if (error instanceof MusterError) return error.code
    throw error
  }
}
