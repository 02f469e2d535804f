/** A request's answer as JSON text. What PostgreSQL made is passed on unread, so numbers stay exact. */
import { executeSync, getArgumentValues, Kind, OperationTypeNode } from 'graphql'
import type { DocumentNode, OperationDefinitionNode } from 'graphql'

import type { Database, TextRow } from '../database/database.ts'
import type { RoleSchema } from '../schema/build-schema.ts'
import { mutationPlan } from '../sql/mutation-sql.ts'
import type { Statement } from '../sql/written-rows.ts'
import { queryFieldSql } from '../sql/query-sql.ts'
import type { SqlContext } from '../sql/sql-context.ts'
import { createSqlContext } from '../sql/sql-context.ts'
import type { AskedField, FieldScope } from './collect-fields.ts'
import { collectFields } from './collect-fields.ts'
import { createDocuments, operationOf, scopeOf } from './documents.ts'
import type { GraphqlRequest, ParsedDocument } from './documents.ts'
import { HasuraError } from './hasura-error.ts'
import { createJoinedReads } from './joined-reads.ts'
import type { Session } from './session.ts'
import { hasuraErrorOf } from './sql-error-codes.ts'

export interface Operation {
  readonly session: Session
  readonly kind: OperationTypeNode
  readonly parsed: ParsedDocument
  readonly definition: OperationDefinitionNode
  readonly scope: FieldScope
  /** Its root fields. */
  readonly asked: readonly AskedField[]
}

export interface Executor {
  /** @throws HasuraError when the request is not one of this role's. */
  read(request: GraphqlRequest, session: Session): Operation
  /** A query's or mutation's `{"data": …}`. @throws HasuraError */
  run(operation: Operation): Promise<string>
  argumentsOf(operation: Operation, field: AskedField): Readonly<Record<string, unknown>>
  newContext(operation: Operation): SqlContext
}

export interface ExecutorOptions {
  readonly database: Database
  readonly roleSchema: RoleSchema
  readonly stringifyNumerics: boolean
}

const rootNames = {
  query: 'query_root',
  mutation: 'mutation_root',
  subscription: 'subscription_root',
} as const

export function createExecutor({ database, roleSchema, stringifyNumerics }: ExecutorOptions): Executor {
  const { schema } = roleSchema
  const documents = createDocuments(schema)
  const joinedRead = createJoinedReads(database)

  const read: Executor['read'] = (request, session) => {
    const parsed = documents.get(request.query)
    const definition = operationOf(parsed, request.operationName)
    const scope = scopeOf(schema, parsed, definition, request.variables)
    const asked = collectFields([definition.selectionSet], rootNames[definition.operation], scope)
    return { session, kind: definition.operation, parsed, definition, scope, asked }
  }
  const newContext: Executor['newContext'] = ({ scope, session }) =>
    createSqlContext({ schema, scope, session, stringifyNumerics })

  const argumentsOf: Executor['argumentsOf'] = (operation, field) => {
    if ((field.node.arguments?.length ?? 0) === 0 && operation.kind === OperationTypeNode.QUERY) return {}
    const definition = schema.getRootType(operation.kind)?.getFields()[field.name]
    if (definition === undefined) throw notFound(field, operation.kind)
    return getArgumentValues(definition, field.node, operation.scope.variables)
  }

  /** The root fields that no database answers. */
  const ownAnswer = (operation: Operation, field: AskedField): string | undefined => {
    if (field.name === '__typename') return JSON.stringify(rootNames[operation.kind])
    if (field.name !== '__schema' && field.name !== '__type') return undefined
    const only: DocumentNode = {
      kind: Kind.DOCUMENT,
      definitions: [
        {
          ...operation.definition,
          selectionSet: { kind: Kind.SELECTION_SET, selections: field.nodes },
        },
        ...operation.parsed.fragments.values(),
      ],
    }
    const result = executeSync({ schema, document: only, variableValues: operation.scope.variables })
    return JSON.stringify(result.data?.[field.key] ?? null)
  }

  const runQuery = async (operation: Operation): Promise<string> => {
    const context = newContext(operation)
    const answers = new Map<string, string>()
    const expressions: string[] = []
    const keys: string[] = []
    let isSmall = true
    for (const field of operation.asked) {
      const own = ownAnswer(operation, field)
      // The place is kept: an answer's fields come in the order of asking.
      answers.set(field.key, own ?? 'null')
      if (own !== undefined) continue
      const meaning = roleSchema.query.get(field.name)
      if (meaning === undefined) throw notFound(field, operation.kind)
      isSmall &&= meaning.kind === 'select-by-pk' && asksForColumnsOnly(field)
      keys.push(field.key)
      expressions.push(`${queryFieldSql(context, meaning, field, argumentsOf(operation, field))}::text`)
    }
    if (expressions.length > 0) {
      // One statement for all root fields: one trip, and one snapshot.
      const { parameters } = context
      const sql = `select ${expressions.join(', ')}`
      const work = isSmall
        ? joinedRead(sql, parameters)
        : database.query(sql, parameters).then(([first]) => first)
      const row = await attempt(work, '$')
      keys.forEach((key, index) => answers.set(key, row?.[index] ?? 'null'))
    }
    return dataText(answers)
  }

  const runMutation = async (operation: Operation): Promise<string> => {
    const plans = operation.asked.map((field) => {
      const own = ownAnswer(operation, field)
      if (own !== undefined) return { key: field.key, own, statements: [], isList: false, run: undefined }
      const meaning = roleSchema.mutation.get(field.name)
      if (meaning === undefined) throw notFound(field, operation.kind)
      const plan = mutationPlan(() => newContext(operation), meaning, field, argumentsOf(operation, field))
      return { key: field.key, own, run: undefined, ...plan }
    })
    const answers = new Map<string, string>()
    const runAll = async (run: (statement: Statement) => Promise<readonly TextRow[]>): Promise<void> => {
      const execute = (statement: Statement) => attempt(run(statement), statement.path)
      for (const { key, own, statements, isList, run: runPlan } of plans) {
        const texts: string[] = []
        for (const statement of statements) {
          const [row] = await execute(statement)
          texts.push(row?.[0] ?? 'null')
        }
        if (runPlan !== undefined) texts.push(await runPlan(execute))
        answers.set(key, own ?? (isList ? `[${texts.join(',')}]` : (texts[0] ?? 'null')))
      }
    }
    const count = plans.reduce(
      (sum, { statements, run }) => sum + statements.length + (run === undefined ? 0 : 2),
      0,
    )
    // One statement is a transaction by itself, and spares two trips.
    if (count === 1) await runAll(({ sql, parameters }) => database.query(sql, parameters))
    else if (count === 0) await runAll(() => Promise.resolve([]))
    else {
      await attempt(
        database.transaction((transaction) =>
          runAll(({ sql, parameters }) => transaction.query(sql, parameters)),
        ),
        '$',
      )
    }
    return dataText(answers)
  }

  return {
    read,
    argumentsOf,
    newContext,
    run: async (operation) => {
      if (operation.kind === OperationTypeNode.QUERY) return await runQuery(operation)
      if (operation.kind === OperationTypeNode.MUTATION) return await runMutation(operation)
      throw new HasuraError('unexpected', 'subscriptions are not supported over HTTP, use websockets instead')
    },
  }
}

/** What is related may be much, and takes a connection of its own. */
const asksForColumnsOnly = ({ nodes }: AskedField): boolean =>
  nodes.every(({ selectionSet }) =>
    selectionSet?.selections.every((one) => one.kind === Kind.FIELD && one.selectionSet === undefined),
  )

const dataText = (answers: ReadonlyMap<string, string>): string =>
  `{"data":{${Array.from(answers, ([key, text]) => `${JSON.stringify(key)}:${text}`).join(',')}}}`

async function attempt<T>(work: Promise<T>, path: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw hasuraErrorOf(error, path)
  }
}

function notFound(field: AskedField, kind: OperationTypeNode): HasuraError {
  const words = `field '${field.name}' not found in type: '${rootNames[kind]}'`
  return new HasuraError('validation-failed', words, `$.selectionSet.${field.key}`)
}
