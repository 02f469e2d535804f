/** Every type of a schema, made once, by name; names are Hasura's. */
import {
  GraphQLBoolean,
  GraphQLEnumType,
  GraphQLInputObjectType,
  GraphQLList,
  GraphQLNonNull,
  GraphQLString,
} from 'graphql'
import type {
  GraphQLInputFieldConfigMap,
  GraphQLInputType,
  GraphQLNamedType,
  GraphQLScalarType,
} from 'graphql'

import type { EnumMembers, PgType } from '../catalog/catalog.ts'
import { isCastable, operatorsOf, textType } from '../sql/operators.ts'
import type { Operand } from '../sql/operators.ts'
import { isGraphqlName } from './names.ts'
import { makeScalar, scalarName } from './scalars.ts'

export type InputFields = GraphQLInputFieldConfigMap

type ValueType = GraphQLScalarType | GraphQLEnumType

export interface TypeRegistry {
  /** The type of that name, made by `make` if there is none yet. */
  named<T extends GraphQLNamedType>(name: string, make: (name: string) => T): T
  input(name: string, fields: () => InputFields): GraphQLInputObjectType
  /** Undefined for no values: GraphQL knows no empty enum. */
  enumOf(name: string, values: Iterable<string>): GraphQLEnumType | undefined
  /** What a column of the type holds, going in and coming out. */
  value(type: PgType): ValueType | GraphQLList<GraphQLNonNull<ValueType>>
  comparison(type: PgType): GraphQLInputObjectType
  /** `asc`, `desc` and where nulls go. */
  readonly order: GraphQLEnumType
}

const orders = ['asc', 'asc_nulls_first', 'asc_nulls_last', 'desc', 'desc_nulls_first', 'desc_nulls_last']

export const required = <T extends GraphQLInputType>(type: T): GraphQLNonNull<T> => new GraphQLNonNull(type)
export const listOf = <T extends GraphQLInputType>(type: T): GraphQLList<GraphQLNonNull<T>> =>
  new GraphQLList(new GraphQLNonNull(type))

function enumTypeOf({ typeName, values }: EnumMembers): GraphQLEnumType {
  const entries = values.map(({ name, comment }) => {
    return [name, comment === undefined ? {} : { description: comment }] as const
  })
  return new GraphQLEnumType({ name: typeName, values: Object.fromEntries(entries) })
}

export function createTypeRegistry(): TypeRegistry {
  const types = new Map<string, GraphQLNamedType>()

  const registry: TypeRegistry = {
    named: (name, make) => {
      const known = types.get(name)
      // The name alone decides: two kinds of type never share one, or building the schema fails.
      if (known !== undefined) return known as ReturnType<typeof make>
      const made = make(name)
      types.set(name, made)
      return made
    },
    input: (name, fields) => registry.named(name, () => new GraphQLInputObjectType({ name, fields })),
    enumOf: (name, values) => {
      const entries = [...values].filter(isGraphqlName).map((value) => [value, {}] as const)
      if (entries.length === 0) return undefined
      return registry.named(name, () => new GraphQLEnumType({ name, values: Object.fromEntries(entries) }))
    },
    value: (type) => {
      const scalar = registry.named<ValueType>(scalarName(type.element ?? type), () =>
        type.members === undefined ? makeScalar(type.element ?? type) : enumTypeOf(type.members),
      )
      return type.element === undefined ? scalar : listOf(scalar)
    },
    comparison: (type) => {
      const name = type.element === undefined ? scalarName(type) : `${scalarName(type.element)}_array`
      return registry.input(`${name}_comparison_exp`, () => ({
        ...(isCastable(type) ? { _cast: { type: castType(type) } } : {}),
        ...Object.fromEntries(
          operatorsOf(type).map((operator) => [operator.name, { type: operandType(type, operator.operand) }]),
        ),
      }))
    },
    get order() {
      return registry.named(
        'order_by',
        (name) =>
          new GraphQLEnumType({ name, values: Object.fromEntries(orders.map((order) => [order, {}])) }),
      )
    },
  }

  const castType = (type: PgType): GraphQLInputObjectType =>
    registry.input(`${scalarName(type)}_cast_exp`, () => ({
      [scalarName(textType)]: { type: registry.comparison(textType) },
    }))

  function operandType(type: PgType, operand: Operand): GraphQLInputType {
    switch (operand) {
      case 'same':
        return registry.value(type)
      case 'list':
        return listOf(registry.value(type))
      case 'boolean':
        return GraphQLBoolean
      case 'text':
        return GraphQLString
      case 'texts':
        return listOf(GraphQLString)
    }
  }
  return registry
}
