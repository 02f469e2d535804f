/** What Hasura makes of PostgreSQL's refusals (facts: its Execute/Types.hs); the texts of others stay inside. */
import { MusterError } from '../../model/errors.ts'
import { SqlError } from '../database/database.ts'
import { checkFailedState } from '../sql/check-sql.ts'
import type { HasuraErrorCode } from './hasura-error.ts'
import { HasuraError } from './hasura-error.ts'

type Rule = readonly [HasuraErrorCode, (message: string) => string]

const plain = (message: string): string => message
const prefixed =
  (prefix: string) =>
  (message: string): string =>
    `${prefix}. ${message}`

const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['23001', ['constraint-violation', prefixed('Can not delete or update due to data being referred')]],
  ['23502', ['constraint-violation', prefixed('Not-NULL violation')]],
  ['23503', ['constraint-violation', prefixed('Foreign key violation')]],
  ['23505', ['constraint-violation', prefixed('Uniqueness violation')]],
  ['23514', ['permission-error', prefixed('Check constraint violation')]],
  ['23P01', ['constraint-violation', prefixed('Exclusion violation')]],
  ['22025', ['bad-request', plain]],
  ['40001', ['concurrent-update', () => 'serialization failure due to concurrent update']],
  ['40P01', ['concurrent-update', () => 'serialization failure due to concurrent update']],
  [
    checkFailedState,
    ['permission-error', () => 'check constraint of an insert/update permission has failed'],
  ],
  ['42P10', ['constraint-error', () => 'there is no unique or exclusion constraint on target column(s)']],
])

/** `path`: where in the request the refused values stand; what is nobody's value is told at `$`. */
export function hasuraErrorOf(error: unknown, path = '$'): HasuraError {
  if (error instanceof HasuraError) return error
  if (error instanceof SqlError) {
    const rule = rules.get(error.sqlState) ?? classRule(error.sqlState)
    if (rule === undefined) return new HasuraError('unexpected', 'database query error', '$', error)
    const [code, words] = rule
    return new HasuraError(code, words(error.message), path, error)
  }
  if (error instanceof MusterError && error.code === 'database-unavailable') {
    return new HasuraError('postgres-error', 'connection error', '$', error)
  }
  return new HasuraError('unexpected', 'internal error', '$', error)
}

const classRule = (sqlState: string): Rule | undefined =>
  sqlState.startsWith('22') ? ['data-exception', plain] : undefined
