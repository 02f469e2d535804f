import { buildClientSchema, getIntrospectionQuery, executeSync, parse, printType } from 'graphql'
import type { IntrospectionQuery } from 'graphql'
import { describe, expect, it } from 'vitest'

import type { Catalog } from '../../../../src/embedded/catalog/catalog.ts'
import type { Project, TrackedTable } from '../../../../src/embedded/project/metadata.ts'
import { buildApi } from '../../../../src/embedded/schema/build-api.ts'
import { buildSchema } from '../../../../src/embedded/schema/build-schema.ts'
import { aCatalog, aColumn, aTable } from './a-catalog.ts'

type Overrides = Omit<Partial<TrackedTable>, 'configuration'> & {
  readonly configuration?: Partial<TrackedTable['configuration']>
}

const tracked = (name: string, { configuration, ...overrides }: Overrides = {}): TrackedTable => ({
  table: { schema: 'public', name },
  object_relationships: [],
  computed_fields: [],
  is_enum: false,
  array_relationships: [],
  select_permissions: [],
  insert_permissions: [],
  update_permissions: [],
  delete_permissions: [],
  configuration: { custom_root_fields: {}, custom_column_names: {}, column_config: {}, ...configuration },
  ...overrides,
})
const schemaOf = (catalog: Catalog, ...tables: TrackedTable[]) => {
  const project: Project = { tables, functions: [], inheritedRoles: [], migrationsDirectory: '', ignored: [] }
  return buildSchema(buildApi(project, catalog)).schema
}

describe('a schema', () => {
  it("has Hasura's fields for a table", () => {
    const schema = schemaOf(aCatalog(aTable('pet')), tracked('pet'))
    expect(Object.keys(schema.getQueryType()!.getFields())).toEqual(['pet', 'pet_aggregate', 'pet_by_pk'])
    expect(Object.keys(schema.getMutationType()!.getFields())).toEqual([
      'insert_pet',
      'insert_pet_one',
      'update_pet',
      'update_pet_by_pk',
      'update_pet_many',
      'delete_pet',
      'delete_pet_by_pk',
    ])
    expect(Object.keys(schema.getSubscriptionType()!.getFields())).toEqual([
      'pet',
      'pet_aggregate',
      'pet_by_pk',
      'pet_stream',
    ])
    expect(printType(schema.getType('pet_on_conflict')!)).toBe(
      'input pet_on_conflict {\n  constraint: pet_constraint!\n  update_columns: [pet_update_column!]! = []\n  where: pet_bool_exp\n}',
    )
    expect(printType(schema.getType('pet_stream_cursor_input')!)).toBe(
      'input pet_stream_cursor_input {\n  initial_value: pet_stream_cursor_value_input!\n  ordering: cursor_ordering\n}',
    )
  })

  it('is one that clients can build from its introspection', () => {
    const schema = schemaOf(aCatalog(aTable('pet')), tracked('pet'))
    const { data } = executeSync({ schema, document: parse(getIntrospectionQuery()) })
    const built = buildClientSchema(data as unknown as IntrospectionQuery)
    expect(printType(built.getType('pet')!)).toBe('type pet {\n  id: String!\n  name: String\n}')
  })

  it('lets nobody write what cannot be written', () => {
    const generated = aTable('pet', {
      columns: [aColumn('id'), aColumn('total', { isGenerated: true })],
      isDeletable: false,
    })
    const schema = schemaOf(aCatalog(generated), tracked('pet'))
    expect(printType(schema.getType('pet_insert_input')!)).toBe('input pet_insert_input {\n  id: String\n}')
    expect(schema.getMutationType()?.getFields()).not.toHaveProperty('delete_pet')
    const view = aTable('seen', {
      isView: true,
      primaryKey: [],
      uniqueConstraints: [],
      isInsertable: false,
      isUpdatable: false,
      isDeletable: false,
    })
    expect(schemaOf(aCatalog(view), tracked('seen')).getMutationType()).toBeUndefined()
  })

  it('leaves out what GraphQL has no name for', () => {
    const odd = aTable('pet', { columns: [aColumn('id'), aColumn('odd name'), aColumn('__typename')] })
    const schema = schemaOf(aCatalog(odd, aTable('odd table')), tracked('pet'), tracked('odd table'))
    expect(printType(schema.getType('pet')!)).toBe('type pet {\n  id: String\n}')
    expect(schema.getType('odd table')).toBeUndefined()
  })

  it('excuses itself when there is nothing to query', () => {
    expect(Object.keys(schemaOf(aCatalog()).getQueryType()!.getFields())).toEqual(['no_queries_available'])
  })

  it('refuses metadata that does not fit, all faults together', () => {
    const faulty = tracked('pet', {
      object_relationships: [{ name: 'owner', using: { foreign_key_constraint_on: ['owner_id'] } }],
      array_relationships: [
        {
          name: 'id',
          using: {
            manual_configuration: {
              remote_table: { schema: 'public', name: 'pet' },
              column_mapping: { id: 'id' },
            },
          },
        },
      ],
    })
    expect(() => schemaOf(aCatalog(aTable('pet')), faulty)).toThrow(
      expect.objectContaining({
        code: 'config-invalid',
        details: [
          'public.pet: relationship owner leads to no tracked table',
          'public.pet: the name of relationship id is taken',
        ],
      }) as Error,
    )
  })

  it('refuses a name that is given twice', () => {
    const twice = tracked('dog', { configuration: { custom_root_fields: { select: 'pet' } } })
    expect(() => schemaOf(aCatalog(aTable('pet'), aTable('dog')), tracked('pet'), twice)).toThrow(
      /twice: pet/,
    )
  })
})
