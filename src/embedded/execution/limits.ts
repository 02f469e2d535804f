/**
 * How much one document may ask for. Validation and the making of SQL are worse than linear in it, and fragments let a
 * few lines ask for millions of fields; so it is counted first, each fragment once.
 */
import { Kind } from 'graphql'
import type { ASTNode, DocumentNode, FragmentDefinitionNode, SelectionSetNode, ValueNode } from 'graphql'

import { HasuraError } from './hasura-error.ts'

/** Fields of an operation once its fragments are spread. */
export const mostFields = 5_000
/** Selections in selections. Introspection takes 13. */
export const mostDepth = 60
/** Lists and objects in each other, in literals and variables. */
export const mostValueDepth = 100

interface Size {
  readonly fields: number
  readonly depth: number
}

/** @throws HasuraError `validation-failed` */
export function checkDocumentSize(document: DocumentNode): void {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const each of document.definitions) {
    if (each.kind === Kind.FRAGMENT_DEFINITION) fragments.set(each.name.value, each)
  }
  const known = new Map<string, Size>()
  const sizeOf = (set: SelectionSetNode): Size => {
    let fields = 0
    let depth = 0
    const add = (size: Size, levels: number): void => {
      fields += size.fields
      depth = Math.max(depth, size.depth + levels)
    }
    for (const selection of set.selections) {
      if (selection.kind === Kind.INLINE_FRAGMENT) add(sizeOf(selection.selectionSet), 0)
      else if (selection.kind === Kind.FRAGMENT_SPREAD) add(fragmentSize(selection.name.value), 0)
      else {
        fields += 1
        if (selection.selectionSet !== undefined) add(sizeOf(selection.selectionSet), 1)
        for (const { value } of selection.arguments ?? []) checkValueDepth(value, literalItems, '$.query')
      }
    }
    return { fields, depth }
  }
  const fragmentSize = (name: string): Size => {
    const size = known.get(name)
    if (size !== undefined) return size
    // One that leads back to itself is refused by the validation.
    known.set(name, { fields: 0, depth: 0 })
    const fragment = fragments.get(name)
    const found = fragment === undefined ? { fields: 0, depth: 0 } : sizeOf(fragment.selectionSet)
    known.set(name, found)
    return found
  }
  for (const each of document.definitions) {
    if (each.kind === Kind.FRAGMENT_DEFINITION) fragmentSize(each.name.value)
    if (each.kind !== Kind.OPERATION_DEFINITION) continue
    const { fields, depth } = sizeOf(each.selectionSet)
    if (fields > mostFields) throw tooMuch(`the query asks for too many fields: at most ${mostFields}`)
    if (depth >= mostDepth) throw tooMuch(`the query is nested too deeply: at most ${mostDepth} levels`)
  }
}

/** @throws HasuraError `validation-failed` */
export function checkVariablesDepth(variables: Readonly<Record<string, unknown>>): void {
  checkValueDepth<unknown>(variables, itemsOf, '$.variables')
}

/** Level by level, so that nothing is too deep for the one who looks. */
function checkValueDepth<T>(value: T, itemsOf: (value: T) => readonly T[], path: string): void {
  let level: readonly T[] = itemsOf(value)
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > mostValueDepth)
      throw tooMuch(`values are nested too deeply: at most ${mostValueDepth} levels`, path)
    level = level.flatMap(itemsOf)
  }
}

const itemsOf = (value: unknown): readonly unknown[] =>
  typeof value === 'object' && value !== null ? Object.values(value) : []

function literalItems(value: ASTNode): readonly ValueNode[] {
  if (value.kind === Kind.LIST) return value.values
  return value.kind === Kind.OBJECT ? value.fields.map((field) => field.value) : []
}

const tooMuch = (words: string, path = '$.query'): HasuraError =>
  new HasuraError('validation-failed', words, path)
