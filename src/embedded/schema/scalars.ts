/**
 * PostgreSQL's types as GraphQL scalars with Hasura's names. A value is kept as the text that the client wrote wherever
 * a JavaScript number could spoil it: 9223372036854775807 has to arrive as it is.
 */
import { GraphQLBoolean, GraphQLError, GraphQLInt, GraphQLScalarType, GraphQLString, Kind } from 'graphql'
import type { ValueNode } from 'graphql'

import type { PgType } from '../catalog/catalog.ts'
import { isExactNumber, jsonOfLiteral } from './exact-json.ts'

const builtIn: ReadonlyMap<string, GraphQLScalarType> = new Map<string, GraphQLScalarType>([
  ['int4', GraphQLInt],
  ['text', GraphQLString],
  ['varchar', GraphQLString],
  ['bool', GraphQLBoolean],
])
const renamed: ReadonlyMap<string, string> = new Map([
  ['float4', 'Float'],
  ['int2', 'smallint'],
  ['int8', 'bigint'],
])

/** What `count` gives, and what `bool_and` does. */
export const countType: PgType = { name: 'int4', sql: 'integer', kind: 'base' }
export const booleanType: PgType = { name: 'bool', sql: 'boolean', kind: 'base' }
/** What an average has; its scalar is `Float`. */
export const floatType: PgType = { name: 'float4', sql: 'real', kind: 'base' }

const integers = new Set(['int2', 'int4', 'int8'])
const fractions = new Set(['float4', 'float8', 'numeric', 'money'])

export const isJson = (type: PgType): boolean => type.name === 'json' || type.name === 'jsonb'
export const isNumeric = (type: PgType): boolean =>
  type.element === undefined &&
  (integers.has(type.name) || (fractions.has(type.name) && type.name !== 'money'))
/** Types whose values a JSON number may not hold exactly; Hasura can be told to write them as text. */
export const isBigNumber = (type: PgType): boolean => ['int8', 'numeric', 'float8'].includes(type.name)
export const isTextual = (type: PgType): boolean =>
  ['text', 'varchar', 'bpchar', 'citext', 'name'].includes(type.name)

export const scalarName = (type: PgType): string =>
  type.members?.typeName ??
  builtIn.get(type.name)?.name ??
  renamed.get(type.name) ??
  type.name.replaceAll(/[^_0-9A-Za-z]/g, '_')

/** A new scalar, unless GraphQL has it already: each may be in a schema once. */
export function makeScalar(type: PgType): GraphQLScalarType {
  const known = builtIn.get(type.name)
  if (known !== undefined) return known
  const name = scalarName(type)
  if (isJson(type)) {
    return new GraphQLScalarType<unknown>({ name, parseValue: (value) => value, parseLiteral: jsonOfLiteral })
  }
  const parse = isNumeric(type) ? numberOf(name, integers.has(type.name)) : textOf(name)
  return new GraphQLScalarType<unknown>({
    name,
    parseValue: parse,
    parseLiteral: (node) => parse(plainLiteral(node, name)),
  })
}

const wholeNumber = /^\s*[+-]?\d+\s*$/

function numberOf(name: string, isWhole: boolean): (value: unknown) => unknown {
  return (value) => {
    const text = isExactNumber(value) ? value.rawJSON : value
    // Text is left to PostgreSQL, which knows 'NaN', '1e3' and the bounds of each type; but an integer is one.
    const isFit =
      typeof text === 'string'
        ? !isWhole || wholeNumber.test(text)
        : typeof text === 'number' && (!isWhole || Number.isInteger(text))
    if (isFit) return typeof text === 'number' ? String(text) : text
    throw new GraphQLError(`expected a ${isWhole ? 'whole number' : 'number'} for type '${name}'`)
  }
}

function textOf(name: string): (value: unknown) => unknown {
  return (value) => {
    if (typeof value === 'string') return value
    if (isExactNumber(value)) return value.rawJSON
    if (typeof value === 'number' || typeof value === 'boolean') return String(value)
    throw new GraphQLError(`expected a text for type '${name}'`)
  }
}

function plainLiteral(node: ValueNode, name: string): unknown {
  switch (node.kind) {
    case Kind.INT:
    case Kind.FLOAT:
    case Kind.STRING:
    case Kind.ENUM:
    case Kind.BOOLEAN:
      return node.value
    default:
      throw new GraphQLError(`expected a plain value for type '${name}'`, { nodes: node })
  }
}
