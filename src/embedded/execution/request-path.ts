/** Where in a request something stands, as Hasura writes it: `$.selectionSet.hosts.args.where.id`. */
import { BREAK, Kind, visit } from 'graphql'
import type { ASTNode, DocumentNode } from 'graphql'

export function pathOf(document: DocumentNode, target: ASTNode): string {
  let found = '$'
  visit(document, {
    enter(node, key, parent, _path, ancestors) {
      if (node !== target) return undefined
      const chain = [...ancestors, ...(parent === undefined ? [] : [parent]), node]
      found = chain.reduce<string>((path, each, index) => {
        if (Array.isArray(each)) return path
        const one = each as ASTNode
        const outer = chain[index - 2] as ASTNode | undefined
        const step = stepOf(one)
        // A list's items stand in an array of the list.
        const siblings = chain[index - 1]
        const place = outer?.kind === Kind.LIST && Array.isArray(siblings) ? `[${siblings.indexOf(one)}]` : ''
        return `${path}${place}${step}`
      }, '$')
      if (typeof key === 'undefined') found = '$'
      return BREAK
    },
  })
  return found
}

function stepOf(node: ASTNode): string {
  switch (node.kind) {
    case Kind.FIELD:
      return `.selectionSet.${node.alias?.value ?? node.name.value}`
    case Kind.ARGUMENT:
      return `.args.${node.name.value}`
    case Kind.OBJECT_FIELD:
      return `.${node.name.value}`
    default:
      return ''
  }
}
