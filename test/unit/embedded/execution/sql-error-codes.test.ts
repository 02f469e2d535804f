import { expect, it } from 'vitest'

import { SqlError } from '../../../../src/embedded/database/database.ts'
import { HasuraError } from '../../../../src/embedded/execution/hasura-error.ts'
import { hasuraErrorOf } from '../../../../src/embedded/execution/sql-error-codes.ts'
import { MusterError } from '../../../../src/model/errors.ts'

const path = '$.selectionSet.x'

it.each([
  ['23505', 'constraint-violation', 'Uniqueness violation. words'],
  ['23503', 'constraint-violation', 'Foreign key violation. words'],
  ['23502', 'constraint-violation', 'Not-NULL violation. words'],
  ['23P01', 'constraint-violation', 'Exclusion violation. words'],
  ['23001', 'constraint-violation', 'Can not delete or update due to data being referred. words'],
  ['23514', 'permission-error', 'Check constraint violation. words'],
  ['22003', 'data-exception', 'words'],
  ['22025', 'bad-request', 'words'],
  ['42P10', 'constraint-error', 'there is no unique or exclusion constraint on target column(s)'],
  ['40001', 'concurrent-update', 'serialization failure due to concurrent update'],
])('tells %s as %s', (sqlState, code, message) => {
  expect(hasuraErrorOf(new SqlError(sqlState, 'words'), path)).toMatchObject({ code, message, path })
})

it('keeps the words of other refusals to itself', () => {
  expect(hasuraErrorOf(new SqlError('42P01', 'relation "secret" does not exist'), path)).toMatchObject({
    code: 'unexpected',
    message: 'database query error',
    path: '$',
  })
  expect(hasuraErrorOf(new Error('at /home/me'), path)).toMatchObject({
    code: 'unexpected',
    message: 'internal error',
  })
})

it('says that the database is away, and passes on what was said already', () => {
  const away = new MusterError('database-unavailable', 'ECONNREFUSED 10.0.0.1', { retryable: true })
  expect(hasuraErrorOf(away)).toMatchObject({ code: 'postgres-error', message: 'connection error' })
  const said = new HasuraError('not-found', 'nothing')
  expect(hasuraErrorOf(said, path)).toBe(said)
})
