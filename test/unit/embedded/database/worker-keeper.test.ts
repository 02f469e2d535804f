import { describe, expect, it } from 'vitest'

import type { WorkerClient } from '../../../../src/embedded/database/pglite/worker-client.ts'
import { keepWorker } from '../../../../src/embedded/database/pglite/worker-keeper.ts'
import { silentLogger } from '../../../../src/lib/logger.ts'

class FakeWorker implements WorkerClient {
  ended = false
  readonly calls: string[] = []
  async call(request: { kind: string; channel?: string }) {
    this.calls.push([request.kind, request.channel].filter((word) => word !== undefined).join(' '))
    return []
  }
  hasEnded = () => this.ended
  async close() {
    this.ended = true
  }
}

async function aKeeper() {
  const workers: FakeWorker[] = []
  const notify: ((channel: string, payload: string) => void)[] = []
  const keeper = await keepWorker(async (notified) => {
    const worker = new FakeWorker()
    workers.push(worker)
    notify.push(notified)
    return worker
  }, silentLogger)
  return { keeper, workers, notify }
}

describe('a worker that is kept', () => {
  it('is the same while it lives, and one other for all who ask once it has ended', async () => {
    const { keeper, workers } = await aKeeper()
    expect(await keeper.current()).toBe(workers[0])
    workers[0]!.ended = true
    const others = await Promise.all([keeper.current(), keeper.current()])
    expect(others).toEqual([workers[1], workers[1]])
    expect(workers).toHaveLength(2)
  })

  it('goes on listening, and tells that something may have been missed', async () => {
    const { keeper, workers, notify } = await aKeeper()
    const heard: unknown[] = []
    const unlisten = await keeper.listen('news', (payload) => heard.push(payload))
    await keeper.listen('other', () => undefined)
    notify[0]!('news', 'one')
    workers[0]!.ended = true
    await keeper.current()
    expect(workers[1]!.calls).toEqual(['listen news', 'listen other'])
    notify[1]!('news', 'two')
    await unlisten()
    notify[1]!('news', 'three')
    expect(heard).toEqual(['one', undefined, 'two'])
    expect(workers[1]!.calls.at(-1)).toBe('unlisten news')
  })

  it('listens once for many', async () => {
    const { keeper, workers } = await aKeeper()
    const first = await keeper.listen('news', () => undefined)
    const second = await keeper.listen('news', () => undefined)
    await first()
    expect(workers[0]!.calls).toEqual(['listen news'])
    await second()
    expect(workers[0]!.calls).toEqual(['listen news', 'unlisten news'])
  })
})
