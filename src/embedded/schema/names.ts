/** SQL allows any name; what bears one that GraphQL does not is left out of the schema, as Hasura leaves it out. */
export const isGraphqlName = (name: string): boolean =>
  /^[_A-Za-z][_0-9A-Za-z]*$/.test(name) && !name.startsWith('__')
