/**
 * What is wrong with a variable's value, told where the value is used: to the engine a variable is a part of the request
 * written elsewhere, so the path is that of the place, and goes on into the value.
 */
import { coerceInputValue, isInputType, Kind, typeFromAST, visit } from 'graphql'
import type { DocumentNode, GraphQLSchema, OperationDefinitionNode, VariableNode } from 'graphql'

import { HasuraError } from './hasura-error.ts'
import { pathOf } from './request-path.ts'
import { refusalWords } from './validation.ts'

/** For values that were found wanting. */
export function refusalOfVariables(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  values: Readonly<Record<string, unknown>>,
): HasuraError {
  for (const { variable, type } of operation.variableDefinitions ?? []) {
    const name = variable.name.value
    const inputType = typeFromAST(schema, type)
    if (!isInputType(inputType) || !Object.hasOwn(values, name)) continue
    let found: HasuraError | undefined
    coerceInputValue(values[name], inputType, (path, _value, error) => {
      if (found !== undefined) return
      const { code, words, suffix } = refusalWords(schema, error.message)
      // Of a literal such a field is a place of its own; of a value only the whole is known.
      const [, unknown] = /^Field "(.+?)" is not defined/.exec(error.message) ?? []
      const steps = [...path.map(stepOf), unknown === undefined ? suffix : stepOf(unknown)]
      const at = `${useOf(document, operation, name)}${steps.join('')}`
      found = new HasuraError(code, words, at, error)
    })
    if (found !== undefined) return found
  }
  return new HasuraError('validation-failed', 'a variable has a wrong value')
}

const stepOf = (key: string | number): string => (typeof key === 'number' ? `[${key}]` : `.${key}`)

/** Where the variable stands first. */
function useOf(document: DocumentNode, operation: OperationDefinitionNode, name: string): string {
  const uses: VariableNode[] = []
  const find = (node: VariableNode): void => {
    if (node.name.value === name) uses.push(node)
  }
  visit(operation, { VariableDefinition: () => false, Variable: find })
  for (const each of document.definitions) {
    if (each.kind === Kind.FRAGMENT_DEFINITION) visit(each, { Variable: find })
  }
  const [use] = uses
  return use === undefined ? '$' : pathOf(document, use)
}
