import { describe, expect, it } from 'vitest'

import type { BlockedOffering, Offering } from '../../../../src/model/offering.ts'
import { FreshBlocks } from '../../../../src/reconcile/executors/fresh-blocks.ts'

const offering: Offering = { instanceType: 'm6a.large', zone: 'a', lifecycle: 'spot', agents: 1 }
const ids = (blocks: readonly BlockedOffering[]) => blocks.map(({ id, until }) => `${id} ${until}`)

describe('blocks that the mirror has not heard of', () => {
  it('count in their own region, whatever else is blocked', () => {
    const blocks = new FreshBlocks()
    blocks.add('aws/r', offering, 'quota-exceeded', 900, 0)
    blocks.add('aws/r', { ...offering, zone: 'b' }, 'quota-exceeded', 800, 0)
    expect(ids(blocks.with('aws/r', [], 1))).toEqual([
      'aws/r|m6a.large|a|spot 900',
      'aws/r|m6a.large|b|spot 800',
    ])
    expect(blocks.with('aws/other', [], 1)).toEqual([])
  })

  it('give way to the mirror for good, so that a person can lift them', () => {
    const blocks = new FreshBlocks()
    blocks.add('aws/r', offering, 'quota-exceeded', 900, 0)
    const [block] = blocks.with('aws/r', [], 1)
    // An old row of the same offering, whose time is over, is not it.
    expect(blocks.with('aws/r', [{ ...block!, until: 1 }], 2)).toHaveLength(2)
    expect(ids(blocks.with('aws/r', [{ ...block!, until: 950 }], 2))).toEqual(['aws/r|m6a.large|a|spot 950'])
    expect(blocks.with('aws/r', [], 3)).toEqual([])
  })

  it('are forgotten when the mirror does not come to hear of them', () => {
    const blocks = new FreshBlocks()
    blocks.add('aws/r', offering, 'quota-exceeded', 900_000, 0)
    expect(blocks.with('aws/r', [], 60_000)).toEqual([])
  })
})
