import { describe, expect, it } from 'vitest'

import { silentLogger } from '../../../src/lib/logger.ts'
import type { Action } from '../../../src/model/action.ts'
import type { AttemptResult } from '../../../src/reconcile/action-queue.ts'
import { ActionQueue } from '../../../src/reconcile/action-queue.ts'
import { settle, TestClock } from '../../support/test-clock.ts'

function anAction(changes: { id?: string; nextAttemptAt?: number } = {}): Action {
  return {
    id: changes.id ?? 'test/one:1.0',
    regionId: 'test/one',
    kind: 'terminate',
    target: 'h1',
    params: {},
    status: 'RUNNING',
    attempts: 1,
    nextAttemptAt: changes.nextAttemptAt ?? null,
  }
}

function aQueue(
  answers: (AttemptResult | Error)[],
  open: readonly Action[] | (() => readonly Action[]) = [],
) {
  const clock = new TestClock()
  const calls: string[] = []
  const postponed: { at: number; code: string }[] = []
  let attempts = 0
  const execute = async (): Promise<AttemptResult> => {
    attempts += 1
    const answer = answers.shift() ?? { outcome: 'done' }
    if (answer instanceof Error) throw answer
    return answer
  }
  const queue = new ActionQueue({
    clock,
    logger: silentLogger,
    executors: { launch: execute, terminate: execute, 'clear-orphan': execute },
    store: {
      readOpenActions: async () => (typeof open === 'function' ? open() : open),
      beginAttempt: async (id) => {
        calls.push(id)
        return { attempts: 2 }
      },
      postponeAction: async (_id, at, code) => void postponed.push({ at, code }),
      logAction: async () => undefined,
    },
  })
  queue.start()
  return { queue, clock, begun: calls, postponed, attempts: () => attempts }
}

describe('ActionQueue', () => {
  it('executes an action once while it is under way, however often it is handed over', async () => {
    const { queue, attempts, clock } = aQueue([{ outcome: 'waiting', forMs: 100 }])
    queue.enqueue(anAction())
    queue.enqueue(anAction())
    await settle()
    expect(attempts()).toBe(1)
    await clock.advance(100)
    expect(attempts()).toBe(2)
    expect(queue.size).toBe(0)
  })

  it('counts an attempt in the database before every repeat, but not the first, which the turn counted', async () => {
    const { queue, begun, clock } = aQueue([{ outcome: 'failed', code: 'transient', message: 'no' }])
    queue.enqueue(anAction())
    await settle()
    expect(begun).toEqual([])
    await clock.advance(1_000)
    expect(begun).toEqual(['test/one:1.0'])
  })

  it('stores a failure with its code and tries again, backing off', async () => {
    const failure: AttemptResult = { outcome: 'failed', code: 'unknown', message: 'no answer' }
    const { queue, postponed, attempts, clock } = aQueue([failure, failure, failure])
    queue.enqueue(anAction())
    await clock.advance(10_000)
    expect(attempts()).toBe(4)
    expect(postponed.map((entry) => entry.code)).toEqual(['unknown', 'unknown', 'unknown'])
  })

  it('takes an executor that throws for a failed attempt', async () => {
    const { queue, postponed, clock } = aQueue([
      Object.assign(new Error('broken'), { code: 'database-unavailable' }),
    ])
    queue.enqueue(anAction())
    await clock.advance(1_000)
    expect(postponed[0]?.code).toBe('database-unavailable')
    expect(queue.size).toBe(0)
  })

  it('resumes what a crash left open, not before its time', async () => {
    const clockStart = new TestClock().now()
    const { attempts, clock } = aQueue([], [anAction({ nextAttemptAt: clockStart + 5_000 })])
    await clock.advance(4_999)
    expect(attempts()).toBe(0)
    await clock.advance(1)
    expect(attempts()).toBe(1)
  })

  it('finds what was stored without its being handed on, once asked and from time to time', async () => {
    const open: Action[] = []
    const { queue, attempts, clock } = aQueue([], () => open)
    await settle()
    open.push(anAction())
    queue.resume()
    await settle()
    expect(attempts()).toBe(1)
    open.splice(0, 1, anAction({ id: 'test/one:2.0' }))
    await clock.advance(30_000)
    expect(attempts()).toBe(2)
  })

  it('looks again soon when open actions could not be read', async () => {
    let failures = 2
    const { attempts, clock } = aQueue([], () => {
      failures -= 1
      if (failures >= 0) throw new Error('away')
      return [anAction()]
    })
    await clock.advance(2_000)
    expect(attempts()).toBe(1)
  })

  it('tries again within a second when only the database was away', async () => {
    const away = () => Object.assign(new Error('away'), { code: 'database-unavailable' })
    const { queue, attempts, clock } = aQueue(Array.from({ length: 30 }, away))
    queue.enqueue(anAction())
    await clock.advance(20_000)
    const before = attempts()
    await clock.advance(1_000)
    expect(attempts()).toBeGreaterThan(before)
  })

  it('stops waiting attempts and starts nothing afterwards', async () => {
    const { queue, attempts, clock } = aQueue([{ outcome: 'waiting', forMs: 60_000 }])
    queue.enqueue(anAction())
    await settle()
    await queue.stop()
    queue.enqueue(anAction({ id: 'test/one:2.0' }))
    await clock.advance(120_000)
    expect(attempts()).toBe(1)
  })
})
