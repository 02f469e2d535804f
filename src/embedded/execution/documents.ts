/**
 * Documents, parsed and validated once: a daemon sends the same few texts for ever, and parsing and validating them
 * costs more than answering them.
 */
import { getVariableValues, GraphQLError, Kind, parse, visit } from 'graphql'
import type { DocumentNode, FragmentDefinitionNode, GraphQLSchema, OperationDefinitionNode } from 'graphql'

import type { FieldScope } from './collect-fields.ts'
import { HasuraError } from './hasura-error.ts'
import { checkDocumentSize, checkVariablesDepth } from './limits.ts'
import { validateDocument } from './validation.ts'
import { refusalOfVariables } from './variable-faults.ts'

export interface GraphqlRequest {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined
  readonly operationName?: string | null | undefined
}

export interface ParsedDocument {
  readonly document: DocumentNode
  readonly operations: readonly OperationDefinitionNode[]
  readonly fragments: ReadonlyMap<string, FragmentDefinitionNode>
  /** Names of variables that stand where a value is expected. */
  readonly usedVariables: ReadonlySet<string>
}

export interface Documents {
  /** @throws HasuraError `validation-failed` */
  get(query: string): ParsedDocument
}

const mostKept = 1_000
const longestKept = 50_000
/** Far beyond any sensible document; what follows a parse is worse than linear. */
const mostTokens = 50_000

export function createDocuments(schema: GraphQLSchema): Documents {
  const kept = new Map<string, ParsedDocument>()
  return {
    get: (query) => {
      const known = kept.get(query)
      if (known !== undefined) return known
      const parsed = parseDocument(schema, query)
      if (query.length <= longestKept) {
        const [oldest] = kept.keys()
        if (kept.size >= mostKept && oldest !== undefined) kept.delete(oldest)
        kept.set(query, parsed)
      }
      return parsed
    },
  }
}

function parseDocument(schema: GraphQLSchema, query: string): ParsedDocument {
  try {
    const document = parse(query, { noLocation: true, maxTokens: mostTokens })
    checkDocumentSize(document)
    validateDocument(schema, document)
    const operations = document.definitions.filter((each) => each.kind === Kind.OPERATION_DEFINITION)
    const fragments = document.definitions.filter((each) => each.kind === Kind.FRAGMENT_DEFINITION)
    return {
      document,
      operations,
      fragments: new Map(fragments.map((each) => [each.name.value, each])),
      usedVariables: variablesUsedIn(document),
    }
  } catch (error) {
    if (error instanceof GraphQLError) {
      throw new HasuraError(
        'validation-failed',
        `not a valid graphql query: ${error.message}`,
        '$.query',
        error,
      )
    }
    if (error instanceof RangeError) {
      throw new HasuraError('validation-failed', 'the query is nested too deeply', '$.query', error)
    }
    throw error
  }
}

/** @throws HasuraError `validation-failed` */
export function operationOf(
  { operations }: ParsedDocument,
  name: string | null | undefined,
): OperationDefinitionNode {
  const [first, ...others] = operations
  if (first === undefined)
    throw new HasuraError('validation-failed', 'no such operation found in the document')
  if (name === null || name === undefined || name === '') {
    if (others.length === 0) return first
    const words =
      'exactly one operation has to be present in the document when operationName is not specified'
    throw new HasuraError('validation-failed', words)
  }
  const named = operations.find((operation) => operation.name?.value === name)
  if (named !== undefined) return named
  throw new HasuraError('validation-failed', `no such operation found in the document: '${name}'`)
}

/** The request's variables as the operation declares them. @throws HasuraError `validation-failed` */
export function scopeOf(
  schema: GraphQLSchema,
  parsed: ParsedDocument,
  operation: OperationDefinitionNode,
  variables: GraphqlRequest['variables'],
): FieldScope {
  const declared = operation.variableDefinitions ?? []
  const unknown = Object.keys(variables ?? {}).filter((name) => !parsed.usedVariables.has(name))
  if (unknown.length > 0) {
    throw new HasuraError(
      'validation-failed',
      `unexpected variables in variableValues: ${unknown.join(', ')}`,
    )
  }
  if (declared.length === 0) return { fragments: parsed.fragments, variables: {} }
  for (const { variable, type, defaultValue } of declared) {
    const name = variable.name.value
    const isMissing = variables === null || variables === undefined || !Object.hasOwn(variables, name)
    if (type.kind === Kind.NON_NULL_TYPE && defaultValue === undefined && isMissing) {
      throw new HasuraError('validation-failed', `expecting a value for non-nullable variable: '${name}'`)
    }
  }
  checkVariablesDepth(variables ?? {})
  const values = getVariableValues(schema, declared, variables ?? {}, { maxErrors: 1 })
  if (values.errors === undefined) return { fragments: parsed.fragments, variables: values.coerced }
  throw refusalOfVariables(schema, parsed.document, operation, variables ?? {})
}

function variablesUsedIn(document: DocumentNode): ReadonlySet<string> {
  const used = new Set<string>()
  visit(document, {
    // A variable's definition holds one too.
    VariableDefinition: () => false,
    Variable: ({ name }) => {
      used.add(name.value)
    },
  })
  return used
}
