import fc from 'fast-check'
import { expect, it } from 'vitest'

import type { BlockedOffering, Offering } from '../../../../src/model/offering.ts'
import { chooseOffering } from '../../../../src/reconcile/executors/launch-offering.ts'

const now = 1_000_000
const region = { id: 'test/one', instanceTypes: ['small'], agentsPerHost: null, providerOptions: {} }
const offering: fc.Arbitrary<Offering> = fc.record({
  instanceType: fc.constantFrom('small', 'large'),
  zone: fc.constantFrom('a', 'b'),
  lifecycle: fc.constantFrom('spot', 'on-demand'),
  agents: fc.integer({ min: 1, max: 9 }),
})
const blockOf = (blocked: Offering, until: number): BlockedOffering => {
  const id = [region.id, blocked.instanceType, blocked.zone, blocked.lifecycle].join('|')
  return { ...blocked, id, regionId: region.id, code: 'quota-exceeded', reason: 'full', until, revision: 1 }
}
const block = fc
  .tuple(offering, fc.integer({ min: now - 5, max: now + 5 }))
  .map(([blocked, until]) => blockOf(blocked, until))

it('is the first that no block holds back now, else the moment at which the first one is free', () => {
  fc.assert(
    fc.property(fc.array(offering), fc.array(block), (offerings, blocks) => {
      const heldUntil = ({ instanceType, zone, lifecycle }: Offering) =>
        blocks
          .filter((each) => each.until > now)
          .filter((each) => each.instanceType === instanceType && each.zone === zone)
          .find((each) => each.lifecycle === lifecycle)?.until
      const free = offerings.find((each) => heldUntil(each) === undefined)
      const choice = chooseOffering(region, offerings, blocks, now)
      if (free !== undefined) {
        expect(choice).toEqual({ offering: free })
        return
      }
      const ends = offerings.map((each) => heldUntil(each) ?? 0)
      expect(choice).toMatchObject({ blockedUntil: offerings.length === 0 ? now : Math.min(...ends) })
    }),
  )
})

it('is the one kind of machine where the provider lists none, blocked or not', () => {
  const only: Offering = { instanceType: 'small', zone: '', lifecycle: 'on-demand', agents: 1 }
  expect(chooseOffering(region, undefined, [blockOf(only, now + 1)], now)).toEqual({ offering: only })
})

it('names what it has refused, and not a page of it', () => {
  const many = Array.from({ length: 40 }, (_, index): Offering => ({
    instanceType: `type-${index}`,
    zone: 'a',
    lifecycle: 'spot',
    agents: 1,
  }))
  const choice = chooseOffering(
    region,
    many,
    many.map((each) => blockOf(each, now + 1)),
    now,
  )
  if (!('message' in choice)) throw new Error('something is free')
  expect(choice.message).toContain('type-0 a spot: quota-exceeded')
  expect(choice.message.length).toBeLessThan(500)
})
