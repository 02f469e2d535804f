/** Whether a document fits a schema, told in Hasura's words. */
import {
  GraphQLEnumType,
  NoUnusedFragmentsRule,
  NoUnusedVariablesRule,
  SingleFieldSubscriptionsRule,
  specifiedRules,
  validate,
} from 'graphql'
import type { DocumentNode, GraphQLSchema, GraphQLError } from 'graphql'

import type { HasuraErrorCode } from './hasura-error.ts'
import { HasuraError } from './hasura-error.ts'
import { pathOf } from './request-path.ts'

/** Hasura does not mind what is defined and not used, and has its own words for a subscription to several things. */
const left: readonly unknown[] = [NoUnusedFragmentsRule, NoUnusedVariablesRule, SingleFieldSubscriptionsRule]
const rules = specifiedRules.filter((rule) => !left.includes(rule))

/** graphql-js's words and Hasura's: `$1`… are the names in them; `suffix` follows the path. */
type Translation = readonly [words: RegExp, hasura: string, suffix?: string, code?: HasuraErrorCode]
const outOfBounds =
  'The value $1 lies outside the bounds or is not an integer. Maybe it is a float, or is there integer overflow?'
const translations: readonly Translation[] = [
  [/^Cannot query field "(.+?)" on type "(.+?)"/, "field '$1' not found in type: '$2'"],
  [/^Field "(.+?)" is not defined by type "(.+?)"/, "field '$1' not found in type: '$2'"],
  [/^Unknown argument "(.+?)" on field ".+?\.(.+?)"/, "'$2' has no argument named '$1'"],
  [/^Field ".+?" argument "(.+?)" of type ".+?" is required/, "missing required field '$1'", '.args.$1'],
  [/^Field "(.+?)\.(.+?)" of required type ".+?" was not provided/, "missing required field '$2'", '.$2'],
  [/^Field "(.+?)" of type "(.+?)" must have a selection of subfields/, "missing selection set for '$2'"],
  [/^Field "(.+?)" must not have a selection/, 'unexpected subselection set for non-object field'],
  [/^Variable "\$(.+?)" is not defined/, "unbound variable '$1'"],
  [
    /^Variable "\$(.+?)" of type "(.+?)" used in position expecting type "(.+?)"/,
    "variable '$1' is declared as '$2', but used where '$3' is expected",
  ],
  [/^Field "([^".]+)" of required type ".+?" was not provided/, "missing required field '$1'", '.$1'],
  [
    /^Expected (?:non-nullable type|value of type) "(.+?)!"[^]*null\.?$/,
    "unexpected null value for type '$1'",
  ],
  [/^Int cannot represent non 32-bit signed integer value: (-?\d.*)/, outOfBounds, '', 'parse-failed'],
  [/^Int cannot represent non-integer value: (-?\d.*)/, outOfBounds, '', 'parse-failed'],
  [
    /^Int cannot represent non-integer value: "/,
    "expected a 32-bit integer for type 'Int', but found a string",
  ],
  [/^Int cannot represent/, "expected a 32-bit integer for type 'Int'"],
  [/^String cannot represent/, "expected a string for type 'String'"],
  [/^Boolean cannot represent/, "expected a boolean for type 'Boolean'"],
  [
    /^Enum "(.+?)" cannot represent non-enum value: "/,
    "expected an enum value for type '$1', but found a string",
  ],
  [/^Enum "(.+?)" cannot represent/, "expected an enum value for type '$1'"],
  [/^Expected type "(.+?)" to be an object/, "expected an object for type '$1'"],
  [/^Unknown type "(.+?)"/, "no such type exists in the schema: '$1'"],
  [/^Unknown fragment "(.+?)"/, "reference to undefined fragment '$1'"],
]

/** @throws HasuraError `validation-failed` for the first fault */
export function validateDocument(schema: GraphQLSchema, document: DocumentNode): void {
  const [error] = validate(schema, document, rules, { maxErrors: 1 })
  if (error !== undefined) throw refusalOf(schema, error, document)
}

/** A fault that graphql-js found, in a document or in the values of its variables. */
export function refusalOf(schema: GraphQLSchema, error: GraphQLError, document: DocumentNode): HasuraError {
  // Of a definition and its use, the use is meant.
  const node = /^Variable "\$.+?" is not defined/.test(error.message) ? error.nodes?.[0] : error.nodes?.at(-1)
  const path = node === undefined ? '$' : pathOf(document, node)
  const { code, words, suffix } = refusalWords(schema, error.message)
  return new HasuraError(code, words, `${path}${suffix}`, error)
}

export interface RefusalWords {
  readonly code: HasuraErrorCode
  readonly words: string
  /** What follows the path. */
  readonly suffix: string
}

const longestWords = 300

/** As the engine prints numbers: `2.147483648e9`. */
function scientific(text: string): string {
  const value = Number(text)
  const size = Math.abs(value)
  if (size >= 0.1 && size < 1e7) return Number.isInteger(value) ? `${value}.0` : String(value)
  const [digits = '', exponent = ''] = value.toExponential().split('e')
  return `${digits.includes('.') ? digits : `${digits}.0`}e${exponent.replace('+', '')}`
}

/** Hasura's words for graphql-js's; its own, cut short, where there are none. */
export function refusalWords(schema: GraphQLSchema, message: string): RefusalWords {
  const [, value, typeName = ''] = /^Value "(.+?)" does not exist in "(.+?)" enum/.exec(message) ?? []
  const type = schema.getType(typeName)
  if (value !== undefined && type instanceof GraphQLEnumType) {
    const values = type.getValues().map(({ name }) => `'${name}'`)
    const words = `expected one of the values [${values.join(', ')}] for type '${typeName}', but found '${value}'`
    return { code: 'validation-failed', words, suffix: '' }
  }
  for (const [pattern, words, suffix = '', code = 'validation-failed'] of translations) {
    const match = pattern.exec(message)
    if (match === null) continue
    const fill = (text: string): string =>
      text.replaceAll(/\$(\d)/g, (_all, index: string) =>
        code === 'parse-failed' ? scientific(match[1] ?? '') : (match[Number(index)] ?? ''),
      )
    return { code, words: fill(words), suffix: fill(suffix) }
  }
  // A value in it may be long, and is none of a log's business.
  const words = message.length > longestWords ? `${message.slice(0, longestWords)}…` : message
  return { code: 'validation-failed', words, suffix: '' }
}
