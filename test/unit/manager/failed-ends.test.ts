import { expect, test } from 'vitest'

import { FailedEnds } from '../../../src/manager/failed-ends.ts'
import type { AgentState } from '../../../src/muster-v1/messages.ts'

const end = (agentId: string, changes: Partial<AgentState> = {}): AgentState => ({
  ...{ agentId, status: 'GONE', port: 4000, sessionId: 's1', app: 'game', failure: 'killed by SIGKILL' },
  ...changes,
})
const told = (ends: FailedEnds) => ends.toTell().map(({ agentId }) => agentId)

test('a failed end is told with each Hello until one is answered with Welcome', () => {
  const ends = new FailedEnds()
  ends.note(end('a'))
  expect(told(ends)).toEqual(['a'])
  expect(told(ends)).toEqual(['a'])
  ends.note(end('b'))
  ends.told()
  expect(told(ends)).toEqual(['b'])
  ends.told()
  expect(told(ends)).toEqual([])
})

test('what has not ended, or ended well, is not kept; of the rest the last hundred', () => {
  const ends = new FailedEnds()
  ends.note(end('alive', { status: 'DYING' }))
  ends.note(end('well', { failure: '' }))
  expect(told(ends)).toEqual([])
  for (let nth = 0; nth < 103; nth++) ends.note(end(`a${nth}`))
  expect(told(ends)).toHaveLength(100)
  expect(told(ends).at(-1)).toBe('a102')
})
