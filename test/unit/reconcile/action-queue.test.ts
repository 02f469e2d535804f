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

function aQueue(answers: (AttemptResult | Error)[], open: readonly Action[] = []) {
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
      readOpenActions: async () => open,
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
    expect(queue.openIds.size).toBe(0)
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
    expect(queue.openIds.size).toBe(0)
  })

  it('resumes what a crash left open, not before its time', async () => {
    const clockStart = new TestClock().now()
    const { queue, attempts, clock } = aQueue([], [anAction({ nextAttemptAt: clockStart + 5_000 })])
    await queue.resume()
    await clock.advance(4_999)
    expect(attempts()).toBe(0)
    await clock.advance(1)
    expect(attempts()).toBe(1)
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
