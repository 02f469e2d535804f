import { readFileSync } from 'node:fs'

import { expect, test } from 'vitest'

import { errorCodes } from '../../../src/model/errors.ts'

test('docs/errors.md explains every code with its status, and no other', () => {
  const text = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (\d{3}) \| [^|]+ \|/gm)]
  expect(Object.fromEntries(rows.map(([, code, status]) => [code, Number(status)]))).toEqual(errorCodes)
})
