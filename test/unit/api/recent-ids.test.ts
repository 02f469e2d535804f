import { expect, test } from 'vitest'

import { RecentIds } from '../../../src/api/recent-ids.ts'

test('the oldest id is forgotten past the bound', () => {
  const recent = new RecentIds(3)
  for (const id of ['a', 'b', 'a', 'c', 'd']) recent.add(id)
  expect(['a', 'b', 'c', 'd'].map((id) => recent.has(id))).toEqual([false, true, true, true])
})
