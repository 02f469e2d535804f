import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { silentLogger } from '../../../src/lib/logger.ts'
import { LaunchError } from '../../../src/model/host-handler.ts'
import type { HostHandler, ProviderRegion } from '../../../src/model/host-handler.ts'
import type { Offering } from '../../../src/model/offering.ts'
import type { DiscoveryOptions } from '../../../src/reconcile/discovery.ts'
import { Discovery } from '../../../src/reconcile/discovery.ts'
import type { Discovered } from '../../../src/store/fleet-store.ts'
import { aRegion } from '../../support/factories.ts'
import { settle, TestClock } from '../../support/test-clock.ts'

const id = 'test/one'
const anHourMs = 3_600_000

let clock: TestClock
let region: ProviderRegion | undefined
/** What the provider answers, the last one again and again. */
let answers: (readonly number[] | Error | 'never')[]
let asked: { readonly region: ProviderRegion; readonly signal: AbortSignal }[]
let stored: (Discovered & { readonly fence: number })[]
let woken: string[]
let applied: number
let fence: number | undefined
let changed: (regionId: string) => void
let discovery: Discovery

const offering = (agents: number): Offering => ({ instanceType: 's', zone: 'a', lifecycle: 'spot', agents })
const plain: HostHandler = {
  launch: () => Promise.reject(new Error('nobody launches')),
  async *list() {
    // Nobody looks.
  },
  terminate: async () => new Map(),
}
const handler: HostHandler = {
  ...plain,
  offerings: async (of, signal) => {
    asked.push({ region: of, signal })
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    if (answer === 'never') {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    }
    if (answer instanceof Error) throw answer
    return (answer ?? []).map(offering)
  },
}

beforeEach(() => {
  clock = new TestClock()
  region = { id, instanceTypes: ['s'], agentsPerHost: null, providerOptions: { zones: ['a'] } }
  answers = [[3, 2, 5]]
  asked = []
  stored = []
  woken = []
  applied = 0
  fence = 7
})
afterEach(() => discovery.stop())

function start(changes: Partial<DiscoveryOptions> = {}): void {
  discovery = new Discovery({
    store: {
      storeDiscovery: async (_id, held, found) => {
        stored.push({ ...found, fence: held })
        return aRegion()
      },
    },
    mirror: {
      regionIds: [id],
      onChange: (listener) => {
        changed = listener
        return () => (changed = () => undefined)
      },
      apply: () => (applied += 1),
    },
    regionOf: () => region,
    handlerOf: async () => handler,
    fence: () => fence,
    wake: (regionId) => woken.push(regionId),
    clock,
    logger: silentLogger,
    ...changes,
  })
  discovery.start()
}

describe('how many agents a host holds', () => {
  it('is asked where the row leaves it to the provider, and the smallest machine counts', async () => {
    start()
    await settle()
    expect(stored).toEqual([{ agents: 2, fence: 7 }])
    expect([applied, woken]).toEqual([1, [id]])
  })

  it('is not asked where the row says it, nor of a region that is gone', async () => {
    region = { ...region!, agentsPerHost: 4 }
    start()
    await settle()
    region = undefined
    changed(id)
    await settle()
    expect(asked).toEqual([])
  })

  it('is one of a provider that lists no offerings, and never more than a row takes', async () => {
    start({ handlerOf: async () => plain })
    await settle()
    discovery.stop()
    answers = [[5_000]]
    start()
    await settle()
    expect(stored).toMatchObject([{ agents: 1 }, { agents: 1000 }])
  })

  it('is asked again after an hour, and not before', async () => {
    start()
    await clock.advance(anHourMs - 1)
    expect(asked).toHaveLength(1)
    await clock.advance(1)
    expect(asked).toHaveLength(2)
  })

  it('is asked again after a failure, later each time and within five minutes, and the row says why', async () => {
    answers = [new LaunchError('unauthorized', 'no permission'), new Error('odd'), [4]]
    start()
    await settle()
    expect(stored).toEqual([{ code: 'unauthorized', message: 'no permission', fence: 7 }])
    await clock.advance(1_200)
    expect(stored[1]).toEqual({ code: 'unknown', message: 'odd', fence: 7 })
    expect(asked).toHaveLength(2)
    await clock.advance(2_400)
    expect(stored[2]).toEqual({ agents: 4, fence: 7 })
    answers = [new Error('odd')]
    await clock.advance(anHourMs)
    const before = asked.length
    await clock.advance(anHourMs)
    // An hour's worth of waits of at most five minutes and a fifth.
    expect(asked.length - before).toBeGreaterThanOrEqual(10)
  })

  it('is asked anew when the row is about something else, and the old question is dropped', async () => {
    answers = ['never', [6]]
    start()
    await settle()
    changed(id)
    await settle()
    expect(asked).toHaveLength(1)
    region = { ...region!, instanceTypes: ['l'] }
    changed(id)
    await settle()
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false])
    expect(asked[1]?.region.instanceTypes).toEqual(['l'])
    expect(stored).toEqual([{ agents: 6, fence: 7 }])
    region = { ...region, agentsPerHost: 2 }
    changed(id)
    expect(asked[1]?.signal.aborted).toBe(true)
    await clock.advance(2 * anHourMs)
    expect(asked).toHaveLength(2)
  })

  it('is not stored without the lease, and nobody is woken when the region is gone', async () => {
    fence = undefined
    start()
    await settle()
    expect([stored, woken]).toEqual([[], []])
    discovery.stop()
    fence = 7
    start({ store: { storeDiscovery: async () => undefined } })
    await settle()
    expect([applied, woken]).toEqual([0, []])
  })

  it('is asked again when it could not be stored', async () => {
    let times = 0
    const store = {
      storeDiscovery: async () => {
        times += 1
        if (times === 1) throw new Error('the database is away')
        return aRegion()
      },
    }
    start({ store })
    await clock.advance(2_000)
    expect([asked.length, times, woken]).toEqual([2, 2, [id]])
  })

  it('is asked no more once it is stopped, in the middle of an answer too', async () => {
    answers = ['never']
    start()
    await settle()
    discovery.stop()
    await settle()
    expect(asked[0]?.signal.aborted).toBe(true)
    changed(id)
    await clock.advance(2 * anHourMs)
    expect([asked.length, stored, clock.pending]).toEqual([1, [], 0])
  })
})
