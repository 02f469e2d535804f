/** The types for writing one table. */
import { GraphQLInt, GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLString } from 'graphql'
import type { GraphQLFieldConfigArgumentMap, GraphQLInputObjectType } from 'graphql'

import { updateOperators } from '../sql/update-operators.ts'
import type { ApiTable, Relationship } from './api-model.ts'
import type { TableTypes } from './table-types.ts'
import { manyOf, mapFields } from './table-types.ts'
import type { InputFields, TypeRegistry } from './type-registry.ts'
import { listOf, required } from './type-registry.ts'

export interface MutationTypes {
  response(table: ApiTable): GraphQLObjectType
  insertInput(table: ApiTable): GraphQLInputObjectType
  /** `on_conflict`, where the table has a constraint to name. */
  conflictArguments(table: ApiTable): GraphQLFieldConfigArgumentMap
  /** `_set`, `_inc` and so on, as the table's columns allow. */
  updateArguments(table: ApiTable): GraphQLFieldConfigArgumentMap
  updates(table: ApiTable): GraphQLInputObjectType
  primaryKeyInput(table: ApiTable): GraphQLInputObjectType
}

export function createMutationTypes(types: TypeRegistry, tables: TableTypes): MutationTypes {
  const self: MutationTypes = {
    response: (table) =>
      types.named(`${table.name}_mutation_response`, (name) => {
        return new GraphQLObjectType({
          name,
          fields: () => ({
            affected_rows: { type: new GraphQLNonNull(GraphQLInt) },
            ...(table.access.select === undefined
              ? {}
              : { returning: { type: manyOf(tables.object(table)) } }),
          }),
        })
      }),

    insertInput: (table) =>
      types.input(`${table.name}_insert_input`, () => ({
        ...mapFields(table.access.insert?.columns ?? [], ({ column }) => ({
          type: types.value(column.type),
        })),
        ...mapFields(insertableThrough(table), (relationship) => ({ type: nestedInput(relationship) })),
      })),

    conflictArguments: (table) => {
      const constraint = types.enumOf(`${table.name}_constraint`, table.table.uniqueConstraints)
      if (constraint === undefined || !table.table.isUpdatable) return {}
      // An enum must have a value: where no column may be updated it is one that means nothing.
      const columns = (table.access.update?.columns ?? []).map(({ name }) => name)
      const column =
        types.enumOf(`${table.name}_update_column`, columns) ??
        types.enumOf(`${table.name}_update_column`, ['_PLACEHOLDER'])
      if (column === undefined) return {}
      const input = types.input(`${table.name}_on_conflict`, () => ({
        constraint: { type: required(constraint) },
        update_columns: { type: required(listOf(column)), defaultValue: [] },
        where: { type: tables.boolExp(table) },
      }))
      return { on_conflict: { type: input } }
    },

    updateArguments: (table) => updateFields(table),

    updates: (table) =>
      types.input(`${table.name}_updates`, () => ({
        ...updateFields(table),
        where: { type: required(tables.boolExp(table)) },
      })),

    primaryKeyInput: (table) =>
      types.input(`${table.name}_pk_columns_input`, () =>
        mapFields(table.primaryKey, ({ column }) => ({ type: required(types.value(column.type)) })),
      ),
  }

  const nestedInput = ({ kind, target }: Relationship): GraphQLInputObjectType =>
    types.input(`${target.name}_${kind === 'object' ? 'obj' : 'arr'}_rel_insert_input`, () => {
      const input = self.insertInput(target)
      return {
        data: { type: kind === 'object' ? required(input) : required(listOf(input)) },
        ...self.conflictArguments(target),
      }
    })

  const updateFields = (table: ApiTable): InputFields => {
    const fields = updateOperators.flatMap(({ name, inputName, applies, operand }) => {
      const columns = (table.access.update?.columns ?? []).filter(({ column }) => applies(column.type))
      if (columns.length === 0) return []
      const input = types.input(`${table.name}_${inputName}`, () =>
        mapFields(columns, ({ column }) => {
          if (operand === 'value') return { type: types.value(column.type) }
          if (operand === 'index') return { type: GraphQLInt }
          return {
            type: operand === 'key' ? GraphQLString : new GraphQLList(new GraphQLNonNull(GraphQLString)),
          }
        }),
      )
      return [[name, { type: input }] as const]
    })
    return Object.fromEntries(fields)
  }
  return self
}

const insertableThrough = ({ relationships }: ApiTable): readonly Relationship[] =>
  [...relationships.values()].filter(({ target }) => target.access.insert !== undefined)
