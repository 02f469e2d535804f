import { expect, it } from 'vitest'

import { createTurns } from '../../../../src/embedded/database/pglite/turns.ts'
import { settle } from '../../../support/test-clock.ts'

it('lets shared turns run together and an exclusive one alone, in the order of asking', async () => {
  const turns = createTurns()
  const running = new Set<string>()
  const seen: string[] = []
  const work = (name: string) => async (): Promise<void> => {
    running.add(name)
    seen.push([...running].join('+'))
    await settle()
    running.delete(name)
  }
  await Promise.all([
    turns.shared(work('a')),
    turns.shared(work('b')),
    turns.exclusive(work('X')),
    turns.shared(work('c')),
    turns.exclusive(work('Y')),
  ])
  expect(seen).toEqual(['a', 'a+b', 'X', 'c', 'Y'])
})

it('goes on after a turn that failed', async () => {
  const turns = createTurns()
  await expect(turns.exclusive(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await turns.exclusive(() => Promise.resolve('yes'))).toBe('yes')
})
