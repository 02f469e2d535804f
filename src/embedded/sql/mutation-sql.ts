/** One root field of a mutation: the statements to run in order, each giving one JSON text. */
import { quoteText } from '../database/database.ts'
import type { AskedField } from '../execution/collect-fields.ts'
import { collectFields, selectionsOf } from '../execution/collect-fields.ts'
import type { ApiTable } from '../schema/api-model.ts'
import type { MutationField } from '../schema/root-fields.ts'
import { noRow } from '../schema/condition.ts'
import { and } from './boolean-sql.ts'
import { conditionSql } from './condition-sql.ts'
import type { InsertRequest } from './insert-sql.ts'
import { insertSql } from './insert-sql.ts'
import type { Output } from './json-sql.ts'
import { jsonList, jsonObject } from './json-sql.ts'
import { insertNested, isNested } from './nested-insert.ts'
import { functionSql, keySql } from './query-sql.ts'
import { rowOutputs } from './select-sql.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'
import { updateSql } from './update-sql.ts'
import { asFields, whereSql } from './where-sql.ts'
import type { Execute, Statement, Written } from './written-rows.ts'
import { writeRows, writtenRowsSql } from './written-rows.ts'

type Arguments = Readonly<Record<string, unknown>>

export interface MutationPlan {
  readonly statements: readonly Statement[]
  /** Whether the answer is the list of the statements' answers, or the one answer. */
  readonly isList: boolean
  /** Instead of statements, where the later ones need what the earlier ones gave: to be run in a transaction. */
  readonly run?: (execute: Execute) => Promise<string>
}

export function mutationPlan(
  newContext: () => SqlContext,
  meaning: MutationField,
  field: AskedField,
  args: Arguments,
): MutationPlan {
  const path = `$.selectionSet.${field.key}`
  const at = (place: string): string => `${path}.args.${place}`
  const one = (refusedAt: string, sqlOf: (context: SqlContext) => string): MutationPlan => {
    const context = newContext()
    const sql = sqlOf(context)
    return { statements: [{ sql, parameters: context.parameters, path: refusedAt }], isList: false }
  }
  if (meaning.kind === 'function') {
    return one('$', (context) => `select ${functionSql(context, meaning.function, field, args)}::text`)
  }
  const { table } = meaning
  const isOne = ['insert-one', 'update-by-pk', 'delete-by-pk'].includes(meaning.kind)
  const answerSql = (context: SqlContext, affectedRows?: number): string => {
    if (isOne) return rowSql(context, table, field, path)
    if (affectedRows === undefined) return responseSql(context, table, field, path)
    // No parameter: it may be left unasked, and PostgreSQL refuses parameters that nothing uses.
    return responseSql(context, table, field, path, `${affectedRows}::bigint`)
  }
  const answerFrom = async (execute: Execute, written: Written): Promise<string> => {
    const context = newContext()
    const rows = writtenRowsSql(context, table, written)
    const sql = `with m as (${rows}) select ${answerSql(context, written.affectedRows)}::text`
    const [found] = await execute({ sql, parameters: context.parameters, path: '$' })
    return found?.[0] ?? 'null'
  }
  const isSplit = asksRelated(newContext(), table, field, isOne)
  const write = (refusedAt: string, ...writes: ((context: SqlContext) => string)[]): MutationPlan => {
    const isList = meaning.kind === 'update-many'
    if (!isSplit) {
      const statements = writes.flatMap(
        (sqlOf) =>
          one(refusedAt, (context) => `with m as (${sqlOf(context)}) select ${answerSql(context)}::text`)
            .statements,
      )
      return { statements, isList }
    }
    const run: MutationPlan['run'] = async (execute) => {
      const texts: string[] = []
      for (const sqlOf of writes) {
        const written = await writeRows({ newContext, execute }, table, sqlOf, refusedAt)
        texts.push(await answerFrom(execute, written))
      }
      return isList ? `[${texts.join(',')}]` : (texts[0] ?? 'null')
    }
    return { statements: [], isList: false, run }
  }
  switch (meaning.kind) {
    case 'insert':
    case 'insert-one': {
      const request: InsertRequest = {
        objects: isOne ? [asFields(args['object'])] : (args['objects'] as Arguments[]),
        onConflict: args['on_conflict'],
        path: at(isOne ? 'object' : 'objects'),
        conflictPath: at('on_conflict'),
      }
      if (!isNested(table, request.objects)) {
        return write(request.path, (context) => insertSql(context, table, request))
      }
      const run: MutationPlan['run'] = async (execute) =>
        await answerFrom(execute, await insertNested({ newContext, execute }, table, request, isOne))
      return { statements: [], isList: false, run }
    }
    case 'update':
      return write('$', (context) =>
        updateSql(
          context,
          table,
          args,
          (alias) => whereSql(context, table, alias, asFields(args['where']), at('where')),
          path,
        ),
      )
    case 'update-by-pk':
      return write('$', (context) =>
        updateSql(
          context,
          table,
          args,
          (alias) => keySql(context, table, alias, asFields(args['pk_columns']), path),
          path,
        ),
      )
    case 'update-many': {
      const updates = args['updates'] as Arguments[]
      const writes = updates.map((update, index) => (context: SqlContext): string => {
        const where = `${at('updates')}[${index}].where`
        return updateSql(
          context,
          table,
          update,
          (alias) => whereSql(context, table, alias, asFields(update['where']), where),
          path,
        )
      })
      return write('$', ...writes)
    }
    case 'delete':
      return write('$', (context) =>
        deleteSql(context, table, (alias) =>
          whereSql(context, table, alias, asFields(args['where']), at('where')),
        ),
      )
    case 'delete-by-pk':
      return write('$', (context) =>
        deleteSql(context, table, (alias) => keySql(context, table, alias, args, path)),
      )
  }
}

/**
 * Whether what is asked of the written rows leads to other rows. The engine then reads them in a statement of their own,
 * after the write (Execute/Mutation.hs: `hasNestedFld`).
 */
function asksRelated(context: SqlContext, table: ApiTable, field: AskedField, isOne: boolean): boolean {
  const isRelated = (nodes: AskedField['nodes']): boolean =>
    collectFields(
      nodes.map(({ selectionSet }) => selectionSet),
      table.name,
      context.scope,
    ).some(({ name }) => name !== '__typename' && !table.columns.has(name))
  if (isOne) return isRelated(field.nodes)
  const typeName = `${table.name}_mutation_response`
  return collectFields(selectionsOf(field), typeName, context.scope).some(
    ({ name, nodes }) => name === 'returning' && isRelated(nodes),
  )
}

function deleteSql(context: SqlContext, table: ApiTable, where: (alias: string) => string): string {
  const alias = context.alias()
  const rows = and([where(alias), conditionSql(context, table.access.delete?.filter ?? noRow, alias)])
  return `delete from ${relationName(table.table)} as ${alias} where ${rows} returning ${alias}.*`
}

/**
 * `m` holds the rows that were written. They are shown whatever the role's filter says of reading them, in the columns
 * that it may read, as with the engine (Translate/Returning.hs: `TablePerm annBoolExpTrue`); what is read through
 * relationships is filtered.
 */
function responseSql(
  context: SqlContext,
  table: ApiTable,
  field: AskedField,
  path: string,
  affectedRows = '(select count(*) from m)',
): string {
  const typeName = `${table.name}_mutation_response`
  const outputs = collectFields(selectionsOf(field), typeName, context.scope).map((each): Output => {
    if (each.name === '__typename') return [each.key, `${quoteText(typeName)}::text`]
    if (each.name === 'affected_rows') return [each.key, affectedRows]
    const alias = context.alias()
    const columns = rowOutputs(context, table, alias, each, `${path}.selectionSet.${each.key}`)
    return [each.key, jsonList(columns, `from m as ${alias}`)]
  })
  return jsonObject(outputs)
}

function rowSql(context: SqlContext, table: ApiTable, field: AskedField, path: string): string {
  const alias = context.alias()
  return jsonObject(rowOutputs(context, table, alias, field, path), `from m as ${alias} limit 1`)
}
