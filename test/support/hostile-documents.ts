/**
 * Documents over a schema, made from a seed: fitting, nearly fitting and hostile. What breaks in SQL, JSON or GraphQL
 * stands in every place that takes a text, and now and then in places that take a name.
 */
import { getNamedType, isEnumType, isInputObjectType, isListType, isNonNullType, isObjectType } from 'graphql'
import type {
  GraphQLField,
  GraphQLInputObjectType,
  GraphQLInputType,
  GraphQLObjectType,
  GraphQLSchema,
} from 'graphql'

export interface HostileRequest {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>>
}

const texts = [
  `'; drop table canary; --`,
  `"; delete from canary; --`,
  `\\'; update canary set alive = false; --`,
  `$1`,
  `$$; drop table canary; $$`,
  `') or 1=1 --`,
  `{"a":`,
  `{1,2`,
  `[1,5)`,
  `%_\\`,
  '\u0000',
  '\ud800',
  '😀\u202e\u0007',
  '',
  'null',
  'NaN',
  'Infinity',
  '1e400',
  '-0',
  '99999999999999999999999999',
  '2020-02-30',
  'x'.repeat(5_000),
]
const numbers = [
  '0',
  '-1',
  '1',
  '2147483647',
  '2147483648',
  '9223372036854775808',
  '1e308',
  '1.5',
  '-0.0',
  '123456789012345678901234567890.5',
]
const names = ['none', '__proto__', 'constructor', 'id', '__typename', 'canary', 'x'.repeat(300)]

/** A literal that each type takes. */
const fitting: ReadonlyMap<string, string> = new Map([
  ['timestamptz', '"2020-01-01T00:00:00Z"'],
  ['timestamp', '"2020-01-01T00:00:00"'],
  ['date', '"2020-01-01"'],
  ['time', '"12:30"'],
  ['interval', '"1 hour"'],
  ['uuid', '"00000000-0000-0000-0000-000000000001"'],
  ['inet', '"10.0.0.1"'],
  ['cidr', '"10.0.0.0/8"'],
  ['macaddr', '"08:00:2b:01:02:03"'],
  ['mood', '"sad"'],
  ['colour', '"red"'],
  ['int4range', '"[1,5)"'],
  ['bytea', '"\\\\x00"'],
])

/** mulberry32: the same documents for the same seed. */
function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296
  }
}

export interface HostileOptions {
  /** A larger schema: now and then a field, argument or input of it is asked for. */
  readonly beyond?: GraphQLSchema
  /** Stands in every text, and as a name in every JSON value, that the request bears; in no other place. */
  readonly mark?: string
  /** Queries and mutations by default. */
  readonly kind?: 'subscription'
}

export function hostileRequest(
  schema: GraphQLSchema,
  seed: number,
  { beyond, mark = '', kind }: HostileOptions = {},
): HostileRequest {
  const random = dice(seed)
  const below = (count: number): number => Math.floor(random() * count)
  const chance = (share: number): boolean => random() < share
  const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T
  const variables: Record<string, unknown> = {}
  const declared: string[] = []
  let aliases = 0

  const marked = (given: string): string => `${mark}${given}`
  const text = (): string =>
    JSON.stringify(marked(chance(0.3) ? pick(['1', '2', 'Emma', 'A', 'red']) : pick(texts)))
  const nameOfKey = (): string => (mark === '' ? pick(names) : mark)
  /** What a type is in the larger schema, at times. */
  const roam = <T extends GraphQLObjectType | GraphQLInputObjectType>(type: T): T =>
    beyond !== undefined && chance(0.02) ? ((beyond.getType(type.name) as T | undefined) ?? type) : type
  const anything = (depth: number): string => {
    const kind = below(depth > 4 ? 5 : 7)
    if (kind === 0) return text()
    if (kind === 1) return pick(numbers)
    if (kind === 2) return pick(['true', 'false', 'null'])
    if (kind === 3) return pick(names)
    if (kind === 4) return '[]'
    if (kind === 5) return `[${Array.from({ length: below(4) }, () => anything(depth + 1)).join(', ')}]`
    return `{${Array.from({ length: below(3) }, () => `${nameOfKey()}: ${anything(depth + 1)}`).join(', ')}}`
  }
  const value = (type: GraphQLInputType, depth: number): string => {
    if (chance(0.01)) return anything(0)
    if (isNonNullType(type)) return value(type.ofType, depth)
    if (chance(0.01)) return 'null'
    if (isListType(type)) {
      const length = chance(0.005) ? 2_000 : below(3)
      return `[${Array.from({ length }, () => value(type.ofType, length > 10 ? 9 : depth + 1)).join(', ')}]`
    }
    // The one that has no order: what is asked of it is the database's to refuse.
    if (isEnumType(type)) return pick(type.getValues().filter(({ name }) => name !== 'raw')).name
    if (isInputObjectType(type)) {
      const isOrder = type.name.endsWith('_order_by')
      const fields = Object.values(roam(type).getFields()).filter(({ name }) => !isOrder || name !== 'raw')
      const asked = fields.filter((field) =>
        isNonNullType(field.type) ? !chance(0.02) : depth < 5 && chance(2 / (fields.length + depth)),
      )
      if (chance(0.01)) return `{${pick(names)}: ${anything(0)}}`
      return `{${asked.map((field) => `${field.name}: ${value(field.type, depth + 1)}`).join(', ')}}`
    }
    switch (getNamedType(type).name) {
      case 'Int':
      case 'smallint':
      case 'bigint':
        return chance(0.95) ? String(below(6)) : chance(0.5) ? pick(numbers) : text()
      case 'Boolean':
        return pick(['true', 'false'])
      case 'String':
        return text()
      case 'jsonb':
      case 'json':
        return anything(0)
      default:
        return chance(0.8)
          ? (fitting.get(getNamedType(type).name) ?? String(below(6)))
          : chance(0.5)
            ? text()
            : pick(numbers)
    }
  }
  const argument = (name: string, type: GraphQLInputType): string => {
    if (!chance(0.05)) return `${name}: ${value(type, 0)}`
    const variable = `v${declared.length}`
    declared.push(`$${variable}: ${String(type)}`)
    variables[variable] = pick<unknown>([
      null,
      marked(pick(texts)),
      below(10),
      true,
      [],
      {},
      [pick(texts)],
      { [nameOfKey()]: marked(pick(texts)) },
      { _eq: marked(pick(texts)) },
      { id: { _eq: 1 } },
      1e30,
      -1.5,
    ])
    return `${name}: $${variable}`
  }
  const field = (each: GraphQLField<unknown, unknown>, depth: number): string => {
    const args = each.args
      .filter(({ type }) => (isNonNullType(type) ? !chance(0.01) : chance(0.3)))
      .map(({ name, type }) => argument(name, type))
    // Two of one name are merged, or refused: seldom wanted.
    const called = chance(0.05) ? each.name : `a${aliases++}: ${each.name}`
    const directive = chance(0.03)
      ? ` @${pick(['skip', 'include'])}(if: ${pick(['true', 'false', '1'])})`
      : ''
    const type = getNamedType(each.type)
    const below_ = isObjectType(type) ? ` ${selection(type, depth + 1)}` : ''
    return `${called}${args.length === 0 ? '' : `(${args.join(', ')})`}${directive}${below_}`
  }
  const selection = (type: GraphQLObjectType, depth: number): string => {
    const all = Object.values(roam(type).getFields())
    const flat = all.filter((each) => !isObjectType(getNamedType(each.type)))
    const from = depth < 4 || flat.length === 0 ? all : flat
    const asked = Array.from({ length: 1 + below(3) }, () => field(pick(from), depth))
    if (chance(0.02)) asked.push(pick(names))
    if (depth > 5) return '{ __typename }'
    return `{ ${asked.join(' ')} }`
  }
  const word = kind ?? (chance(0.5) ? 'query' : 'mutation')
  const root = {
    query: schema.getQueryType(),
    mutation: schema.getMutationType(),
    subscription: schema.getSubscriptionType(),
  }[word]
  if (root === null || root === undefined) return { query: '{ __typename }' }
  // A subscription to several things is refused before they are looked at.
  const body =
    kind === undefined ? selection(root, 0) : `{ ${field(pick(Object.values(roam(root).getFields())), 0)} }`
  const query = `${word}${declared.length === 0 ? '' : ` (${declared.join(', ')})`} ${body}`
  if (chance(0.03)) {
    const at = below(query.length)
    return {
      query: `${query.slice(0, at)}${pick(['}', '{', '"', '\u0000', '$', '...', '#'])}${query.slice(at)}`,
      variables,
    }
  }
  return { query, variables }
}
