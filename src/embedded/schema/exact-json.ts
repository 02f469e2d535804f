/**
 * JSON whose numbers are not rounded. Numbers that a double cannot hold are kept as `JSON.rawJSON`, which
 * `JSON.stringify` writes out unchanged.
 */
import { Kind } from 'graphql'
import type { ValueNode } from 'graphql'

export interface ExactNumber {
  readonly rawJSON: string
}
interface ExactJson {
  rawJSON(text: string): ExactNumber
  isRawJSON(value: unknown): value is ExactNumber
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown
}
// Of ECMAScript 2026; TypeScript does not know it yet.
const exact = JSON as unknown as ExactJson

export const isExactNumber = (value: unknown): value is ExactNumber => exact.isRawJSON(value)
/** A number as a client wrote it: as a double where that says the same. */
export const exactNumber = (text: string): number | ExactNumber =>
  String(Number(text)) === text ? Number(text) : exact.rawJSON(text)

/** Long runs of digits are rare: only a text that has some is parsed the slow way. */
const longNumber = /\d[\d.]{14}|[eE][+-]?\d{3}/

/** @throws SyntaxError */
export function parseExactJson(text: string): unknown {
  if (!longNumber.test(text)) return JSON.parse(text)
  return exact.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined ? exactNumber(source) : value,
  )
}

/** A literal of the query language as a JSON value. */
export function jsonOfLiteral(
  node: ValueNode,
  variables?: Readonly<Record<string, unknown>> | null,
): unknown {
  switch (node.kind) {
    case Kind.INT:
    case Kind.FLOAT:
      return exactNumber(node.value)
    case Kind.STRING:
    case Kind.ENUM:
    case Kind.BOOLEAN:
      return node.value
    case Kind.NULL:
      return null
    case Kind.LIST:
      return node.values.map((value) => jsonOfLiteral(value, variables))
    case Kind.OBJECT:
      return Object.fromEntries(
        node.fields.map(({ name, value }) => [name.value, jsonOfLiteral(value, variables)]),
      )
    case Kind.VARIABLE:
      // While a document is validated its variables have no values yet.
      return variables?.[node.name.value] ?? null
  }
}
