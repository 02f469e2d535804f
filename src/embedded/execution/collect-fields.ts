/** The fields that a selection asks for once fragments are spread and `@skip` and `@include` decided. */
import { getDirectiveValues, GraphQLIncludeDirective, GraphQLSkipDirective, Kind } from 'graphql'
import type { FieldNode, FragmentDefinitionNode, SelectionNode, SelectionSetNode } from 'graphql'

export interface FieldScope {
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>
  readonly variables: Readonly<Record<string, unknown>>
}

/** Fields of one answer key; there are several nodes when a document asks for the same field in several places. */
export interface AskedField {
  readonly key: string
  readonly name: string
  readonly node: FieldNode
  readonly nodes: readonly FieldNode[]
}

/** In the order of asking. Fragments on other types than `typeName` do not apply: there are no interfaces here. */
export function collectFields(
  selections: readonly (SelectionSetNode | undefined)[],
  typeName: string,
  scope: FieldScope,
): readonly AskedField[] {
  const fields = new Map<string, FieldNode[]>()
  const visited = new Set<string>()
  const collect = (set: SelectionSetNode): void => {
    for (const selection of set.selections) {
      if (!isWanted(selection, scope)) continue
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value
        const known = fields.get(key)
        if (known === undefined) fields.set(key, [selection])
        else known.push(selection)
        continue
      }
      if (selection.kind === Kind.INLINE_FRAGMENT) {
        const condition = selection.typeCondition?.name.value ?? typeName
        if (condition === typeName) collect(selection.selectionSet)
        continue
      }
      const { value: name } = selection.name
      const fragment = scope.fragments.get(name)
      if (fragment === undefined || visited.has(name)) continue
      visited.add(name)
      if (fragment.typeCondition.name.value === typeName) collect(fragment.selectionSet)
    }
  }
  for (const set of selections) if (set !== undefined) collect(set)
  return Array.from(fields, ([key, nodes]) => {
    const node = nodes[0] as FieldNode
    return { key, name: node.name.value, node, nodes }
  })
}

export const selectionsOf = (field: AskedField): readonly (SelectionSetNode | undefined)[] =>
  field.nodes.map(({ selectionSet }) => selectionSet)

function isWanted(selection: SelectionNode, { variables }: FieldScope): boolean {
  if (selection.directives === undefined || selection.directives.length === 0) return true
  if (getDirectiveValues(GraphQLSkipDirective, selection, variables)?.['if'] === true) return false
  return getDirectiveValues(GraphQLIncludeDirective, selection, variables)?.['if'] !== false
}
