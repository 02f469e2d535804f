/** The types for reading one table: its object, filter, order, aggregate and stream cursor. */
import {
  GraphQLBoolean,
  GraphQLEnumType,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLString,
} from 'graphql'
import type {
  GraphQLEnumType as EnumType,
  GraphQLFieldConfig,
  GraphQLFieldConfigArgumentMap,
  GraphQLInputObjectType,
  GraphQLInputType,
  GraphQLOutputType,
} from 'graphql'

import type { PgType } from '../catalog/catalog.ts'
import { aggregatesOf } from '../sql/aggregates.ts'
import type { ApiColumn, ApiTable, ComputedField, Relationship } from './api-model.ts'
import type { FunctionCall } from './function-call.ts'
import { clientArguments, isPlain } from './function-call.ts'
import { isGraphqlName } from './names.ts'
import { booleanType, countType, floatType, isJson } from './scalars.ts'
import type { InputFields, TypeRegistry } from './type-registry.ts'
import { listOf, required } from './type-registry.ts'

export interface TableTypes {
  object(table: ApiTable): GraphQLObjectType
  aggregate(table: ApiTable): GraphQLObjectType
  boolExp(table: ApiTable): GraphQLInputObjectType
  selectColumn(table: ApiTable): EnumType | undefined
  cursor(table: ApiTable): GraphQLInputObjectType
  /** `where`, `order_by`, `limit`, `offset`, `distinct_on`. */
  selectArguments(table: ApiTable): GraphQLFieldConfigArgumentMap
  /** `args`, where a client gives the function any; `name` is that of their type. */
  callArguments(name: string, call: FunctionCall): GraphQLFieldConfigArgumentMap
}

export function createTableTypes(types: TypeRegistry): TableTypes {
  const self: TableTypes = {
    object: (table) =>
      types.named(table.name, (name) => {
        return new GraphQLObjectType({
          name,
          ...describedBy(table.table.comment),
          fields: () => ({
            ...mapFields(table.columns.values(), columnField),
            ...Object.fromEntries([...table.relationships.values()].flatMap(relationshipFields)),
            ...mapFields(table.computed.values(), (field) => computedField(table, field)),
          }),
        })
      }),

    boolExp: (table) =>
      types.input(`${table.name}_bool_exp`, () => {
        const own = self.boolExp(table)
        return {
          _and: { type: listOf(own) },
          _not: { type: own },
          _or: { type: listOf(own) },
          ...mapFields(table.columns.values(), ({ column }) => ({ type: types.comparison(column.type) })),
          ...mapFields(table.relationships.values(), ({ target }) => ({ type: self.boolExp(target) })),
          ...mapFields(aggregatedOf(table), ({ target }) => ({ type: aggregateBoolExp(target) })),
          ...mapFields([...table.computed.values()].filter(isPlain), ({ gives }) => ({
            type: gives.kind === 'scalar' ? types.comparison(gives.type) : self.boolExp(gives.target),
          })),
        }
      }),

    selectColumn: (table) => types.enumOf(`${table.name}_select_column`, table.columns.keys()),

    selectArguments: (table) => {
      const column = self.selectColumn(table)
      return {
        ...(column === undefined ? {} : { distinct_on: { type: listOf(column) } }),
        limit: { type: GraphQLInt },
        offset: { type: GraphQLInt },
        ...(isOrderable(table) ? { order_by: { type: listOf(orderBy(table)) } } : {}),
        where: { type: self.boolExp(table) },
      }
    },

    callArguments: (name, call) => {
      const named = clientArguments(call).filter((argument) => isGraphqlName(argument.name))
      if (named.length === 0) return {}
      const input = types.input(name, () => mapFields(named, ({ type }) => ({ type: types.value(type) })))
      const isOptional = clientArguments(call).every(({ hasDefault }) => hasDefault)
      return { args: { type: isOptional ? input : required(input) } }
    },

    cursor: (table) =>
      types.input(`${table.name}_stream_cursor_input`, () => ({
        initial_value: {
          type: required(
            types.input(`${table.name}_stream_cursor_value_input`, () =>
              mapFields(table.columns.values(), ({ column }) => ({ type: types.value(column.type) })),
            ),
          ),
        },
        ordering: {
          type: types.named(
            'cursor_ordering',
            (name) => new GraphQLEnumType({ name, values: { ASC: {}, DESC: {} } }),
          ),
        },
      })),

    aggregate: (table) =>
      types.named(`${table.name}_aggregate`, (name) => {
        return new GraphQLObjectType({
          name,
          fields: () => ({
            aggregate: { type: aggregateFields(table) },
            nodes: { type: manyOf(self.object(table)) },
          }),
        })
      }),
  }

  const aggregateBoolExp = (table: ApiTable): GraphQLInputObjectType =>
    types.input(`${table.name}_aggregate_bool_exp`, () => {
      const booleans = [...table.columns.values()].filter(({ column }) => column.type.name === 'bool')
      const ofBooleans = ['bool_and', 'bool_or'].flatMap((name) => {
        const typeName = `${table.name}_aggregate_bool_exp_${name}`
        const column = types.enumOf(
          `${table.name}_select_column_${typeName}_arguments_columns`,
          booleans.map((each) => each.name),
        )
        if (column === undefined) return []
        const input = aggregatePredicate(typeName, table, types.comparison(booleanType), required(column))
        return [[name, { type: input }] as const]
      })
      const column = self.selectColumn(table)
      const count = aggregatePredicate(
        `${table.name}_aggregate_bool_exp_count`,
        table,
        types.comparison(countType),
        column === undefined ? undefined : listOf(column),
      )
      return { ...Object.fromEntries(ofBooleans), count: { type: count } }
    })

  const aggregatePredicate = (
    name: string,
    table: ApiTable,
    predicate: GraphQLInputObjectType,
    args: GraphQLInputType | undefined,
  ): GraphQLInputObjectType =>
    types.input(name, () => ({
      ...(args === undefined ? {} : { arguments: { type: args } }),
      distinct: { type: GraphQLBoolean },
      filter: { type: self.boolExp(table) },
      predicate: { type: required(predicate) },
    }))

  const computedField = (table: ApiTable, field: ComputedField): GraphQLFieldConfig<unknown, unknown> => {
    const { name, comment, gives } = field
    const args = self.callArguments(`${name}_${table.name}_args`, field)
    const description = comment
    if (gives.kind === 'scalar') {
      return { type: types.value(gives.type), args: { ...args, ...pathArgument(gives.type) }, description }
    }
    // A list of its own may be null, to the engine's mind; it never is.
    const rows = new GraphQLList(new GraphQLNonNull(self.object(gives.target)))
    return { type: rows, args: { ...args, ...self.selectArguments(gives.target) }, description }
  }

  const columnField = ({ column, visible }: ApiColumn): GraphQLFieldConfig<unknown, unknown> => {
    const type = types.value(column.type)
    return {
      type: column.isNullable || visible !== undefined ? type : new GraphQLNonNull(type),
      ...describedBy(column.comment),
      args: pathArgument(column.type),
    }
  }

  const relationshipFields = (
    relationship: Relationship,
  ): [string, GraphQLFieldConfig<unknown, unknown>][] => {
    const { name, kind, target, isNullable } = relationship
    const hasAggregates = target.access.select?.hasAggregates === true
    const object = self.object(target)
    if (kind === 'object') return [[name, { type: isNullable ? object : new GraphQLNonNull(object) }]]
    const args = self.selectArguments(target)
    const list: [string, GraphQLFieldConfig<unknown, unknown>] = [name, { type: manyOf(object), args }]
    if (!hasAggregates) return [list]
    return [list, [`${name}_aggregate`, { type: new GraphQLNonNull(self.aggregate(target)), args }]]
  }

  const orderBy = (table: ApiTable): GraphQLInputObjectType =>
    types.input(`${table.name}_order_by`, () => {
      const relationships = [...table.relationships.values()].flatMap((relationship) => {
        const { name, kind, target } = relationship
        if (!isOrderable(target)) return []
        if (kind === 'object') return [[name, { type: orderBy(target) }] as const]
        if (target.access.select?.hasAggregates !== true) return []
        return [[`${name}_aggregate`, { type: aggregateOrderBy(target) }] as const]
      })
      const computed = [...table.computed.values()]
        .filter(isPlain)
        .flatMap(({ name, gives }): [string, InputField][] => {
          if (gives.kind === 'scalar') return [[name, { type: types.order }]]
          if (gives.target.access.select?.hasAggregates !== true) return []
          return [[`${name}_aggregate`, { type: aggregateOrderBy(gives.target) }]]
        })
      return {
        ...mapFields(table.columns.values(), () => ({ type: types.order })),
        ...(Object.fromEntries(relationships) as InputFields),
        ...Object.fromEntries(computed),
      }
    })

  const aggregateOrderBy = (table: ApiTable): GraphQLInputObjectType =>
    types.input(`${table.name}_aggregate_order_by`, () => ({
      count: { type: types.order },
      ...Object.fromEntries(
        aggregatesOf(table)
          .map(({ name, columns, computed }) => [name, [...columns, ...computed.filter(isPlain)]] as const)
          .filter(([, fields]) => fields.length > 0)
          .map(([name, fields]) => [
            name,
            {
              type: types.input(`${table.name}_${name}_order_by`, () =>
                mapFields(fields, () => ({ type: types.order })),
              ),
            },
          ]),
      ),
    }))

  const aggregateFields = (table: ApiTable): GraphQLObjectType =>
    types.named(`${table.name}_aggregate_fields`, (name) => {
      const column = self.selectColumn(table)
      const over = aggregatesOf(table).map((aggregate) => {
        const type = types.named(`${table.name}_${aggregate.name}_fields`, (typeName) => {
          const fields = mapFields(aggregate.columns, (each) => ({
            type: aggregate.isExact ? types.value(each.column.type) : types.value(floatType),
          }))
          const computed = mapFields(aggregate.computed, (each) => computedField(table, each))
          return new GraphQLObjectType({ name: typeName, fields: { ...fields, ...computed } })
        })
        return [aggregate.name, { type }] as const
      })
      return new GraphQLObjectType({
        name,
        fields: {
          count: {
            type: new GraphQLNonNull(GraphQLInt),
            args: {
              ...(column === undefined ? {} : { columns: { type: listOf(column) } }),
              distinct: { type: GraphQLBoolean },
            },
          },
          ...Object.fromEntries(over),
        },
      })
    })
  return self
}

/** As filters know them: by the name of the relationship's aggregate. */
const aggregatedOf = ({ relationships }: ApiTable): readonly Pick<Relationship, 'name' | 'target'>[] =>
  [...relationships.values()]
    .filter(({ kind, target }) => kind === 'array' && target.access.select?.hasAggregates === true)
    .map(({ name, target }) => ({ name: `${name}_aggregate`, target }))

type InputField = InputFields[string]

/** An input type must have a field. */
const isOrderable = ({ columns, computed }: ApiTable): boolean =>
  columns.size > 0 || [...computed.values()].some((field) => field.gives.kind === 'scalar' && isPlain(field))

const pathArgument = (type: PgType): GraphQLFieldConfigArgumentMap =>
  isJson(type) ? { path: { type: GraphQLString } } : {}

export const manyOf = (type: GraphQLObjectType): GraphQLOutputType =>
  new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(type)))

const describedBy = (comment: string | undefined) => (comment === undefined ? {} : { description: comment })

export function mapFields<T extends { readonly name: string }, Field>(
  items: Iterable<T>,
  field: (item: T) => Field,
): Record<string, Field> {
  return Object.fromEntries(Array.from(items, (item) => [item.name, field(item)]))
}
