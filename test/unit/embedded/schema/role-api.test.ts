import { describe, expect, it } from 'vitest'

import type { Project, TrackedTable } from '../../../../src/embedded/project/metadata.ts'
import { buildApi } from '../../../../src/embedded/schema/build-api.ts'
import { buildRoleApi } from '../../../../src/embedded/schema/role-api.ts'
import { aCatalog, aTable } from './a-catalog.ts'

const tracked = (overrides: Partial<TrackedTable>): TrackedTable => ({
  table: { schema: 'public', name: 'pet' },
  file: 'tables/public_pet.yaml',
  object_relationships: [],
  computed_fields: [],
  is_enum: false,
  array_relationships: [],
  select_permissions: [],
  insert_permissions: [],
  update_permissions: [],
  delete_permissions: [],
  configuration: { custom_root_fields: {}, custom_column_names: {}, column_config: {} },
  ...overrides,
})
const apiOf = (overrides: Partial<TrackedTable>, isBackend = false) => {
  const project: Project = {
    tables: [tracked(overrides)],
    functions: [],
    inheritedRoles: [],
    migrationsDirectory: '',
    ignored: [],
  }
  return buildRoleApi(project, buildApi(project, aCatalog(aTable('pet'))), { role: 'keeper', isBackend })
}
const selecting = (filter: Record<string, unknown>, columns: '*' | string[] = '*') => ({
  select_permissions: [{ role: 'keeper', permission: { columns, filter } }],
})

describe('permissions that do not fit', () => {
  it.each<[string, Partial<TrackedTable>, string]>([
    [
      'an unknown column',
      selecting({}, ['id', 'colour']),
      "select permission of keeper: there is no column 'colour'",
    ],
    [
      'an unknown column in a filter',
      selecting({ colour: { _eq: 'red' } }),
      "there is no column or relationship 'colour'",
    ],
    [
      'an unknown operator',
      selecting({ name: { _is: 'x' } }),
      'name._is: there is no such operator for text',
    ],
    [
      'an operator of another type',
      selecting({ name: { _has_key: 'x' } }),
      'name._has_key: there is no such operator',
    ],
    ['a null', selecting({ name: { _eq: null } }), 'name._eq: a value is expected'],
    ['no list', selecting({ name: { _in: 'x' } }), 'name._in: a list or a session variable is expected'],
    ['no truth', selecting({ name: { _is_null: 'yes' } }), 'name._is_null: true or false is expected'],
    ['no expression', selecting({ _not: 'x' }), '"x" is no boolean expression'],
    [
      'an unknown table',
      selecting({ _exists: { _table: 'dog', _where: {} } }),
      '_exists: there is no tracked table "dog"',
    ],
    [
      'an unknown column to compare with',
      selecting({ name: { _ceq: ['$', 'colour'] } }),
      'name: there is no column ["$","colour"]',
    ],
    [
      'an unknown column to set',
      {
        insert_permissions: [
          { role: 'keeper', permission: { columns: '*', check: {}, set: { colour: 'red' } } },
        ],
      },
      "insert permission of keeper: set: there is no column 'colour'",
    ],
  ])('like %s are named with their file', (_what, overrides, words) => {
    expect(() => apiOf(overrides)).toThrow(
      expect.objectContaining({
        code: 'config-invalid',
        message: expect.stringContaining(words) as string,
        details: [expect.stringMatching(/^tables\/public_pet\.yaml: /)] as unknown,
      }) as Error,
    )
  })
})

describe('a role', () => {
  it('is given nothing of a table that no permission names', () => {
    expect(apiOf({})).toEqual({ tables: [], functions: [] })
    const others = {
      select_permissions: [{ role: 'other', permission: { columns: '*' as const, filter: {} } }],
    }
    expect(apiOf(others)).toEqual({ tables: [], functions: [] })
  })

  it('has no key where it may not read all of it', () => {
    const [whole] = apiOf(selecting({})).tables
    expect(whole?.primaryKey.map(({ name }) => name)).toEqual(['id'])
    const [part] = apiOf(selecting({}, ['name'])).tables
    expect([...(part?.columns.keys() ?? [])]).toEqual(['name'])
    expect(part?.primaryKey).toEqual([])
  })

  it('is not asked for what the metadata sets', () => {
    const permission = { columns: '*' as const, check: {}, set: { name: 'X-Hasura-User-Id' } }
    const [table] = apiOf({ insert_permissions: [{ role: 'keeper', permission }] }).tables
    expect(table?.access.insert?.columns.map(({ name }) => name)).toEqual(['id'])
    expect(table?.access.insert?.presets).toEqual([
      expect.objectContaining({ value: { from: 'session', variable: 'x-hasura-user-id' } }),
    ])
  })

  it('may use as a backend what is left to backends', () => {
    const remove = {
      delete_permissions: [{ role: 'keeper', permission: { filter: {}, backend_only: true } }],
    }
    expect(apiOf(remove).tables).toEqual([])
    expect(apiOf(remove, true).tables[0]?.access.delete).toBeDefined()
  })
})
