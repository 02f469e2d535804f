import { expect, it } from 'vitest'

import { jsonPath } from '../../../../src/embedded/sql/json-path.ts'

it.each([
  ['$', []],
  ['$.a.b', ['a', 'b']],
  ['a[0].b', ['a', '0', 'b']],
  ['$.a["b c"][\'d\']', ['a', 'b c', 'd']],
  ['$["quo\\"te"]', ['quo"te']],
  ['.a.0', ['a', '0']],
])('%s leads by %j', (text, keys) => {
  expect(jsonPath(text, '$')).toEqual(keys)
})

it.each(['$..a', '$.a[', '$[x]', '$.a["b'])('%s is none', (text) => {
  expect(() => jsonPath(text, '$.here')).toThrow(
    expect.objectContaining({ code: 'parse-failed', path: '$.here' }) as Error,
  )
})
