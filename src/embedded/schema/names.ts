import type { RelationName } from '../catalog/catalog.ts'

/** SQL allows any name; what bears one that GraphQL does not is left out of the schema, as Hasura leaves it out. */
export const isGraphqlName = (name: string): boolean =>
  /^[_A-Za-z][_0-9A-Za-z]*$/.test(name) && !name.startsWith('__')

/** A name of schema `public` stands alone; others bear their schema. */
export const defaultName = ({ schema, name }: RelationName): string =>
  schema === 'public' ? name : `${schema}_${name}`
