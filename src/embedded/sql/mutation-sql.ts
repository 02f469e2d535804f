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
import { insertNested, isNested, writtenRowsSql } from './nested-insert.ts'
import type { Execute, Statement } from './nested-insert.ts'
import { functionSql, keySql } from './query-sql.ts'
import { visibleRows } from './row-source.ts'
import { rowOutputs } from './select-sql.ts'
import type { SqlContext } from './sql-context.ts'
import { relationName } from './sql-context.ts'
import { updateSql } from './update-sql.ts'
import { asFields, whereSql } from './where-sql.ts'

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
  const rows = (context: SqlContext, write: string): string =>
    `with m as (${write}) select ${responseSql(context, table, field, path)}::text`
  const row = (context: SqlContext, write: string): string =>
    `with m as (${write}) select ${rowSql(context, table, field, path)}::text`
  switch (meaning.kind) {
    case 'insert':
    case 'insert-one': {
      const isOne = meaning.kind === 'insert-one'
      const request: InsertRequest = {
        objects: isOne ? [asFields(args['object'])] : (args['objects'] as Arguments[]),
        onConflict: args['on_conflict'],
        path: at(isOne ? 'object' : 'objects'),
        conflictPath: at('on_conflict'),
      }
      if (!isNested(table, request.objects)) {
        return one(request.path, (context) =>
          (isOne ? row : rows)(context, insertSql(context, table, request)),
        )
      }
      const run: MutationPlan['run'] = async (execute) => {
        const written = await insertNested({ newContext, execute }, table, request, isOne)
        const context = newContext()
        const answer = isOne
          ? rowSql(context, table, field, path)
          : responseSql(
              context,
              table,
              field,
              path,
              `(${context.text(String(written.affectedRows))})::bigint`,
            )
        const sql = `with m as (${writtenRowsSql(context, table, written)}) select ${answer}::text`
        const [found] = await execute({ sql, parameters: context.parameters, path: '$' })
        return found?.[0] ?? 'null'
      }
      return { statements: [], isList: false, run }
    }
    case 'update':
      return one('$', (context) =>
        rows(
          context,
          updateSql(
            context,
            table,
            args,
            (alias) => whereSql(context, table, alias, asFields(args['where']), at('where')),
            path,
          ),
        ),
      )
    case 'update-by-pk':
      return one('$', (context) =>
        row(
          context,
          updateSql(
            context,
            table,
            args,
            (alias) => keySql(context, table, alias, asFields(args['pk_columns']), path),
            path,
          ),
        ),
      )
    case 'update-many': {
      const updates = args['updates'] as Arguments[]
      return {
        isList: true,
        statements: updates.flatMap((update, index) => {
          const where = `${at('updates')}[${index}].where`
          return one('$', (context) =>
            rows(
              context,
              updateSql(
                context,
                table,
                update,
                (alias) => whereSql(context, table, alias, asFields(update['where']), where),
                path,
              ),
            ),
          ).statements
        }),
      }
    }
    case 'delete':
      return one('$', (context) =>
        rows(
          context,
          deleteSql(context, table, (alias) =>
            whereSql(context, table, alias, asFields(args['where']), at('where')),
          ),
        ),
      )
    case 'delete-by-pk':
      return one('$', (context) =>
        row(
          context,
          deleteSql(context, table, (alias) => keySql(context, table, alias, args, path)),
        ),
      )
  }
}

function deleteSql(context: SqlContext, table: ApiTable, where: (alias: string) => string): string {
  const alias = context.alias()
  const rows = and([where(alias), conditionSql(context, table.access.delete?.filter ?? noRow, alias)])
  return `delete from ${relationName(table.table)} as ${alias} where ${rows} returning ${alias}.*`
}

/** `m` holds the rows that were written. */
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
    return [each.key, jsonList(columns, `from ${visibleRows(context, table, 'm', alias)}`)]
  })
  return jsonObject(outputs)
}

function rowSql(context: SqlContext, table: ApiTable, field: AskedField, path: string): string {
  const alias = context.alias()
  return jsonObject(
    rowOutputs(context, table, alias, field, path),
    `from ${visibleRows(context, table, 'm', alias)} limit 1`,
  )
}
