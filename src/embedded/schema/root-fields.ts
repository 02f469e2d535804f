/** The fields of the three roots, each with what it means: the SQL is made from the meaning, not from the name. */
import { GraphQLInt, GraphQLList, GraphQLNonNull } from 'graphql'
import type { GraphQLFieldConfig } from 'graphql'

import type { ApiFunction, ApiTable, Api } from './api-model.ts'
import type { MutationTypes } from './mutation-types.ts'
import type { TableTypes } from './table-types.ts'
import { manyOf, mapFields } from './table-types.ts'
import type { TypeRegistry } from './type-registry.ts'
import { listOf, required } from './type-registry.ts'

export type QueryField =
  | { readonly kind: 'select' | 'select-by-pk' | 'select-aggregate'; readonly table: ApiTable }
  | { readonly kind: 'function' | 'function-aggregate'; readonly function: ApiFunction }
export interface StreamField {
  readonly kind: 'stream'
  readonly table: ApiTable
}
export type MutationField =
  | {
      readonly kind:
        'insert' | 'insert-one' | 'update' | 'update-by-pk' | 'update-many' | 'delete' | 'delete-by-pk'
      readonly table: ApiTable
    }
  | { readonly kind: 'function'; readonly function: ApiFunction }

export interface RootField<Meaning> {
  readonly name: string
  readonly config: GraphQLFieldConfig<unknown, unknown>
  readonly meaning: Meaning
}

export interface RootFields {
  readonly query: readonly RootField<QueryField>[]
  readonly mutation: readonly RootField<MutationField>[]
  readonly subscription: readonly RootField<QueryField | StreamField>[]
}

export function rootFieldsOf(
  api: Api,
  types: TypeRegistry,
  tables: TableTypes,
  mutations: MutationTypes,
): RootFields {
  const selects = api.tables.map((table) => ({
    access: table.access.select,
    fields: selectFields(table, types, tables),
  }))
  const functions = api.functions
    .filter(({ exposedAs }) => exposedAs === 'query')
    .flatMap((of) => queryFunction(of, tables))
  const query = [
    ...selects.flatMap(({ access, fields }) => fields.filter(({ root }) => access?.queryRoots.has(root))),
    ...functions,
  ]
  return {
    query,
    mutation: [
      ...api.tables.flatMap((table) => writeFields(table, types, tables, mutations)),
      ...api.functions
        .filter(({ exposedAs }) => exposedAs === 'mutation')
        .map((of) => ({
          name: of.name,
          config: functionField(of, tables),
          meaning: { kind: 'function', function: of } as const,
        })),
    ],
    subscription: [
      ...selects.flatMap(({ access, fields }) =>
        fields.filter(({ root }) => access?.subscriptionRoots.has(root)),
      ),
      ...functions,
      ...api.tables
        .filter(
          ({ access, columns }) => columns.size > 0 && access.select?.subscriptionRoots.has('select_stream'),
        )
        .map((table) => streamField(table, tables)),
    ],
  }
}

const many = (table: ApiTable, tables: TableTypes) => manyOf(tables.object(table))

/** `root`: what the metadata calls such a field. */
type SelectField = RootField<QueryField> & { readonly root: string }

function selectFields(table: ApiTable, types: TypeRegistry, tables: TableTypes): SelectField[] {
  const { rootFields: names, access } = table
  if (access.select === undefined) return []
  const args = tables.selectArguments(table)
  const fields: SelectField[] = [
    {
      root: 'select',
      name: names.select,
      config: { type: many(table, tables), args },
      meaning: { kind: 'select', table },
    },
  ]
  if (access.select.hasAggregates) {
    fields.push({
      root: 'select_aggregate',
      name: names.select_aggregate,
      config: { type: new GraphQLNonNull(tables.aggregate(table)), args },
      meaning: { kind: 'select-aggregate', table },
    })
  }
  if (table.primaryKey.length === 0) return fields
  const byKey = mapFields(table.primaryKey, ({ column }) => ({ type: required(types.value(column.type)) }))
  return [
    ...fields,
    {
      root: 'select_by_pk',
      name: names.select_by_pk,
      config: { type: tables.object(table), args: byKey },
      meaning: { kind: 'select-by-pk', table },
    },
  ]
}

function streamField(table: ApiTable, tables: TableTypes): RootField<StreamField> {
  return {
    name: table.rootFields.select_stream,
    config: {
      type: many(table, tables),
      args: {
        batch_size: { type: required(GraphQLInt) },
        // A null in the list is refused later, as the engine does, and not by its type.
        cursor: { type: new GraphQLNonNull(new GraphQLList(tables.cursor(table))) },
        where: { type: tables.boolExp(table) },
      },
    },
    meaning: { kind: 'stream', table },
  }
}

function functionField(of: ApiFunction, tables: TableTypes): GraphQLFieldConfig<unknown, unknown> {
  return {
    type: of.function.returnsSet ? many(of.returns, tables) : tables.object(of.returns),
    args: {
      ...tables.callArguments(`${of.name}_args`, of),
      ...tables.selectArguments(of.returns),
    },
  }
}

function queryFunction(of: ApiFunction, tables: TableTypes): RootField<QueryField>[] {
  const config = functionField(of, tables)
  const field: RootField<QueryField> = { name: of.name, config, meaning: { kind: 'function', function: of } }
  if (!of.function.returnsSet || of.returns.access.select?.hasAggregates !== true) return [field]
  return [
    field,
    {
      name: `${of.name}_aggregate`,
      config: { ...config, type: new GraphQLNonNull(tables.aggregate(of.returns)) },
      meaning: { kind: 'function-aggregate', function: of },
    },
  ]
}

function writeFields(
  table: ApiTable,
  types: TypeRegistry,
  tables: TableTypes,
  mutations: MutationTypes,
): RootField<MutationField>[] {
  const { rootFields: names, primaryKey, access } = table
  // What answers with the row itself needs it to be readable.
  const isReadable = access.select !== undefined
  const response = mutations.response(table)
  const fields: RootField<MutationField>[] = []
  const add = (
    name: string,
    kind: 'insert' | 'insert-one' | 'update' | 'update-by-pk' | 'update-many' | 'delete' | 'delete-by-pk',
    config: GraphQLFieldConfig<unknown, unknown>,
  ): void => {
    fields.push({ name, config, meaning: { kind, table } })
  }
  if (access.insert !== undefined) {
    const input = mutations.insertInput(table)
    const conflict = mutations.conflictArguments(table)
    add(names.insert, 'insert', {
      type: response,
      args: { objects: { type: required(listOf(input)) }, ...conflict },
    })
    if (isReadable) {
      add(names.insert_one, 'insert-one', {
        type: tables.object(table),
        args: { object: { type: required(input) }, ...conflict },
      })
    }
  }
  if (access.update !== undefined) {
    const set = mutations.updateArguments(table)
    add(names.update, 'update', {
      type: response,
      args: { ...set, where: { type: required(tables.boolExp(table)) } },
    })
    if (primaryKey.length > 0) {
      add(names.update_by_pk, 'update-by-pk', {
        type: tables.object(table),
        args: { ...set, pk_columns: { type: required(mutations.primaryKeyInput(table)) } },
      })
    }
    add(names.update_many, 'update-many', {
      type: new GraphQLList(response),
      args: { updates: { type: required(listOf(mutations.updates(table))) } },
    })
  }
  if (access.delete !== undefined) {
    add(names.delete, 'delete', {
      type: response,
      args: { where: { type: required(tables.boolExp(table)) } },
    })
    if (primaryKey.length > 0) {
      const byKey = mapFields(primaryKey, ({ column }) => ({ type: required(types.value(column.type)) }))
      add(names.delete_by_pk, 'delete-by-pk', { type: tables.object(table), args: byKey })
    }
  }
  return fields
}
