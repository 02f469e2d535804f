/** One role's GraphQL schema: what its documents are validated against, and what introspection answers. */
import { GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql'

import { MusterError } from '../../model/errors.ts'
import type { Api } from './api-model.ts'
import { createMutationTypes } from './mutation-types.ts'
import { rootFieldsOf } from './root-fields.ts'
import type { MutationField, QueryField, RootField, RootFields, StreamField } from './root-fields.ts'
import { createTableTypes } from './table-types.ts'
import { createTypeRegistry } from './type-registry.ts'

export interface RoleSchema {
  readonly schema: GraphQLSchema
  readonly query: ReadonlyMap<string, QueryField>
  readonly mutation: ReadonlyMap<string, MutationField>
  readonly subscription: ReadonlyMap<string, QueryField | StreamField>
}

export function buildSchema(api: Api): RoleSchema {
  const types = createTypeRegistry()
  const tables = createTableTypes(types)
  const fields = rootFieldsOf(api, types, tables, createMutationTypes(types, tables))
  const taken = duplicates(fields)
  if (taken.length > 0) {
    throw new MusterError('config-invalid', `the metadata gives names twice: ${taken.join(', ')}`, {
      details: taken,
    })
  }
  const subscription = root('subscription_root', fields.subscription)
  const mutation = root('mutation_root', fields.mutation)
  return {
    schema: new GraphQLSchema({
      // GraphQL wants a query root, and no type without fields: a role that may see nothing gets Hasura's excuse.
      query: root('query_root', fields.query) ?? nothingToQuery(),
      ...(mutation === undefined ? {} : { mutation }),
      ...(subscription === undefined ? {} : { subscription }),
    }),
    query: meanings(fields.query),
    mutation: meanings(fields.mutation),
    subscription: meanings(fields.subscription),
  }
}

function root(name: string, fields: readonly RootField<unknown>[]): GraphQLObjectType | undefined {
  if (fields.length === 0) return undefined
  return new GraphQLObjectType({
    name,
    fields: Object.fromEntries(fields.map((field) => [field.name, field.config])),
  })
}

function nothingToQuery(): GraphQLObjectType {
  return new GraphQLObjectType({
    name: 'query_root',
    fields: {
      no_queries_available: {
        type: GraphQLString,
        description:
          "There are no queries available to the current role. Either there are no sources or remote schemas configured, or the current role doesn't have the required permissions.",
      },
    },
  })
}

function duplicates({ query, mutation, subscription }: RootFields): string[] {
  return [query, mutation, subscription].flatMap((fields) => {
    const seen = new Set<string>()
    return fields.filter(({ name }) => seen.size === seen.add(name).size).map(({ name }) => name)
  })
}

const meanings = <Meaning>(fields: readonly RootField<Meaning>[]): ReadonlyMap<string, Meaning> =>
  new Map(fields.map(({ name, meaning }) => [name, meaning]))
