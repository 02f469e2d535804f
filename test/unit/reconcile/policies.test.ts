import { describe, expect, it } from 'vitest'

import type { ScalingAlgorithm } from '../../../src/model/scaling-algorithm.ts'
import { Policies } from '../../../src/reconcile/policies.ts'
import { aRegion } from '../../support/factories.ts'

const anAlgorithm = (safeParse: () => unknown): ScalingAlgorithm => ({
  name: 'outside',
  options: { safeParse } as ScalingAlgorithm['options'],
  plan: () => [],
})

describe('the policy of a region', () => {
  it('is loaded anew only when the algorithm or its options change', async () => {
    let loads = 0
    const policies = new Policies(async () => {
      loads += 1
      return anAlgorithm(() => ({ success: true, data: {} }))
    })
    const region = aRegion()
    await policies.of(region)
    await policies.of({ ...region, turn: 8 })
    expect(loads).toBe(1)
    await policies.of({ ...region, options: {} })
    expect(loads).toBe(2)
  })

  it.each([
    ['throws', () => { throw new Error('broken schema') }, /broken schema/], // prettier-ignore
    ['answers nothing', () => undefined, /cannot be read/],
    ['is asynchronous', () => Promise.resolve({ success: true }), /cannot be read/],
  ])('is a fault on record when the schema %s: upkeep goes on', async (_what, safeParse, words) => {
    const policy = await new Policies(async () => anAlgorithm(safeParse)).of(aRegion())
    expect(policy.algorithm).toMatchObject({ fault: expect.stringMatching(words) as string })
  })
})
