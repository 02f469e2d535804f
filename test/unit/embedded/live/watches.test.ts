import { describe, expect, it } from 'vitest'

import type { TextRow } from '../../../../src/embedded/database/database.ts'
import type { LiveSubscription, StreamSubscription } from '../../../../src/embedded/live/subscription.ts'
import type { Follower } from '../../../../src/embedded/live/watches.ts'
import { LiveWatch, StreamWatch } from '../../../../src/embedded/live/watches.ts'
import { settle } from '../../../support/test-clock.ts'

function aFollower() {
  const told: string[] = []
  const follower = {
    told,
    behind: false,
    next: (text: string) => told.push(text),
    error: ({ code }: { code: string }) => told.push(`error ${code}`),
    isBehind: () => follower.behind,
  }
  return follower satisfies Follower
}

const live: LiveSubscription = {
  kind: 'live',
  sources: new Set(['public.a']),
  look: { sql: '', parameters: [] },
  message: (row) => row?.[0] ?? '',
}

describe('a live query', () => {
  it('merges the wakes that come during a look into one more look', async () => {
    let looks = 0
    const watch = new LiveWatch(live, async () => {
      looks += 1
      await settle()
      return [String(looks)]
    })
    const follower = aFollower()
    watch.add(follower)
    watch.wake()
    for (let wake = 0; wake < 10; wake += 1) watch.wake()
    await settle()
    await settle()
    await settle()
    expect(looks).toBe(2)
    expect(follower.told).toEqual(['1', '2'])
  })

  it('tells each follower only what is new to it', async () => {
    const watch = new LiveWatch(live, async () => ['same'])
    const [first, second] = [aFollower(), aFollower()]
    watch.add(first)
    watch.wake()
    await settle()
    watch.add(second)
    watch.wake()
    await settle()
    expect([first.told, second.told]).toEqual([['same'], ['same']])
    expect([watch.remove(first), watch.remove(second)]).toEqual([1, 0])
  })

  it('tells who is behind the newest, later', async () => {
    let value = 0
    const watch = new LiveWatch(live, async () => [String((value += 1))])
    const follower = aFollower()
    watch.add(follower)
    watch.wake()
    await settle()
    follower.behind = true
    for (let wake = 0; wake < 5; wake += 1) {
      watch.wake()
      await settle()
    }
    follower.behind = false
    watch.wake()
    await settle()
    expect(follower.told).toEqual(['1', '7'])
  })

  it('tells each failure, and afterwards the answer even if it is the old one', async () => {
    const outcomes: (TextRow | Error)[] = [['a'], new Error(), new Error(), ['a'], ['a']]
    const watch = new LiveWatch(live, async () => {
      const outcome = outcomes.shift()
      if (outcome instanceof Error) throw outcome
      return outcome
    })
    const follower = aFollower()
    watch.add(follower)
    watch.wake()
    for (let wake = 0; wake < 4; wake += 1) {
      await settle()
      watch.wake()
    }
    await settle()
    expect(follower.told).toEqual(['a', 'error unexpected', 'error unexpected', 'a'])
  })
})

describe('a stream', () => {
  const rows = [1, 2, 3, 4, 5]
  const stream: StreamSubscription = {
    kind: 'stream',
    sources: new Set(),
    lookFrom: (cursor) => ({ sql: '', parameters: [cursor ?? '0'] }),
    message: (row) =>
      row?.[1] === null
        ? undefined
        : { text: row?.[0] ?? '', cursor: row?.[1] ?? '', isFull: row?.[2] === '2' },
  }
  const look = async ({
    parameters: [cursor],
  }: {
    parameters: readonly (string | null)[]
  }): Promise<TextRow> => {
    const batch = rows.filter((row) => row > Number(cursor)).slice(0, 2)
    return [batch.join(), batch.at(-1)?.toString() ?? null, String(batch.length)]
  }

  it('goes on while batches are full, from where the last one ended, and says nothing of nothing', async () => {
    const follower = aFollower()
    const watch = new StreamWatch(stream, follower, look, true)
    watch.wake()
    await settle()
    watch.wake()
    await settle()
    expect(follower.told).toEqual(['1,2', '3,4', '5'])
  })

  it('gives one batch at a look where the engine polls', async () => {
    const follower = aFollower()
    const watch = new StreamWatch(stream, follower, look, false)
    watch.wake()
    await settle()
    expect(follower.told).toEqual(['1,2'])
  })

  it('does not send a batch that reads like the one before, but one that comes after nothing', async () => {
    const follower = aFollower()
    const texts = ['same', 'same', undefined, 'same', 'other']
    const texted: StreamSubscription = {
      ...stream,
      message: ([text] = []) => (typeof text === 'string' ? { text, cursor: 'c', isFull: false } : undefined),
    }
    const watch = new StreamWatch(texted, follower, async () => [texts.shift() ?? null, 'c', '1'], true)
    for (let look = 0; look < 5; look += 1) {
      watch.wake()
      await settle()
    }
    expect(follower.told).toEqual(['same', 'same', 'other'])
  })

  it('waits for who is behind, and loses nothing by it', async () => {
    const follower = aFollower()
    follower.behind = true
    const watch = new StreamWatch(stream, follower, look, true)
    watch.wake()
    await settle()
    follower.behind = false
    watch.wake()
    await settle()
    expect(follower.told).toEqual(['1,2', '3,4', '5'])
  })

  it('says nothing after its end, not even what was under way', async () => {
    const follower = aFollower()
    const watch = new StreamWatch(stream, follower, look, true)
    watch.wake()
    watch.end()
    await settle()
    expect(follower.told).toEqual([])
  })
})
