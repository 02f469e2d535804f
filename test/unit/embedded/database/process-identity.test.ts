import { expect, it } from 'vitest'

import {
  isAlive,
  ownIdentity,
  parseIdentity,
} from '../../../../src/embedded/database/pglite/process-identity.ts'

it('knows a living process, one that is gone, and another that was given its number', async () => {
  const own = await ownIdentity()
  expect(await isAlive(own)).toBe('alive')
  expect(await isAlive({ ...own, pid: 2 ** 22 + 1 })).toBe('dead')
  expect(await isAlive({ ...own, startedAt: '1' })).toBe('dead')
})

it('does not judge a process that it cannot see', async () => {
  const own = await ownIdentity()
  expect(await isAlive({ ...own, boot: 'another' })).toBe('unknown')
  expect(await isAlive({ ...own, pidNamespace: 'pid:[1]' })).toBe('unknown')
})

it('reads what it wrote, and nothing else', async () => {
  const own = await ownIdentity()
  expect(parseIdentity(JSON.stringify(own))).toEqual(own)
  for (const text of ['', '17', '{"pid": "x"}', '{"pid": -1}']) expect(parseIdentity(text)).toBeUndefined()
})
