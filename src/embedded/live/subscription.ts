/** What a subscription asks of the database, again and again. */
import type { TextRow } from '../database/database.ts'
import type { Executor, Operation } from '../execution/executor.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import type { RoleSchema } from '../schema/build-schema.ts'
import { queryFieldSql } from '../sql/query-sql.ts'
import type { StreamCursor } from '../sql/stream-sql.ts'
import { cursorOf, streamSql } from '../sql/stream-sql.ts'
import type { Parameters } from '../database/database.ts'

export interface Look {
  readonly sql: string
  readonly parameters: Parameters
}

export interface LiveSubscription {
  readonly kind: 'live'
  /** `schema.name` of each table that the answer is made from; `*` for any. */
  readonly sources: ReadonlySet<string>
  readonly look: Look
  /** The message for a row that the look gave. */
  message(row: TextRow | undefined): string
}

export interface StreamMessage {
  readonly text: string
  /** Where the batch ended. */
  readonly cursor: string
  /** There may be more rows behind it. */
  readonly isFull: boolean
}

export interface StreamSubscription {
  readonly kind: 'stream'
  readonly sources: ReadonlySet<string>
  /** From the cursor's first value on; afterwards from where the last batch ended. */
  lookFrom(cursor: string | undefined): Look
  /** Undefined for no rows, of which nothing is said. */
  message(row: TextRow | undefined): StreamMessage | undefined
}

export type Subscription = LiveSubscription | StreamSubscription

/** @throws HasuraError for an operation that cannot be followed. */
export function subscriptionOf(
  executor: Executor,
  roleSchema: RoleSchema,
  operation: Operation,
): Subscription {
  const [field, ...others] = operation.asked
  if (field === undefined || others.length > 0) {
    throw new HasuraError('validation-failed', 'subscriptions must select one top level field')
  }
  const wrap = (text: string): string => `{"data":{${JSON.stringify(field.key)}:${text}}}`
  if (field.name === '__typename') {
    return {
      kind: 'live',
      sources: new Set(),
      look: { sql: 'select 1::text', parameters: [] },
      message: () => wrap('"subscription_root"'),
    }
  }
  const meaning = roleSchema.subscription.get(field.name)
  const path = `$.selectionSet.${field.key}`
  if (meaning === undefined) {
    throw new HasuraError(
      'validation-failed',
      `field '${field.name}' not found in type: 'subscription_root'`,
      path,
    )
  }
  const args = executor.argumentsOf(operation, field)
  if (meaning.kind !== 'stream') {
    const context = executor.newContext(operation)
    const sql = `select ${queryFieldSql(context, meaning, field, args)}::text`
    return {
      kind: 'live',
      sources: context.sources,
      look: { sql, parameters: context.parameters },
      message: (row) => wrap(row?.[0] ?? 'null'),
    }
  }
  const first = cursorOf(meaning.table, args, path)
  const lookAt = (cursor: StreamCursor) => {
    const context = executor.newContext(operation)
    const sql = streamSql(context, meaning.table, field, args, cursor, path)
    return { sql, parameters: context.parameters, sources: context.sources }
  }
  return {
    kind: 'stream',
    sources: lookAt(first).sources,
    lookFrom: (cursor) => lookAt(cursor === undefined ? first : { ...first, value: cursor }),
    message: (row) => {
      const [text, cursor, count] = row ?? []
      if (text === undefined || text === null || cursor === undefined || cursor === null) return undefined
      return { text: wrap(text), cursor, isFull: Number(count) >= (args['batch_size'] as number) }
    },
  }
}
