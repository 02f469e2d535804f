/** config/hasura-webhooks is config/hasura with triggers: nothing less, nothing else. `vitest -u` makes it anew. */
import { readdirSync } from 'node:fs'

import { expect, it } from 'vitest'
import { stringify } from 'yaml'
import { z } from 'zod'

import { readProject } from '../../../src/embedded/project/metadata.ts'
import { check, readYaml } from '../../../src/embedded/project/yaml-file.ts'

const made = 'config/hasura-webhooks/metadata/databases/databases.yaml'
const header =
  '# Made of config/hasura and event_triggers.yaml by test/unit/config/hasura-webhooks.test.ts: do not edit.\n'

const operation = z.strictObject({
  columns: z.union([z.literal('*'), z.array(z.string())]),
  payload: z.tuple([z.literal('id')]),
})
const trigger = z.strictObject({
  // The longest name that the engine takes is of 42 characters.
  name: z.string().max(42),
  definition: z.strictObject({
    enable_manual: z.boolean(),
    insert: operation,
    update: operation,
    delete: operation,
  }),
  webhook: z.literal('{{MUSTER_WEBHOOK_URL}}/v1/hooks/hasura/event'),
  headers: z.tuple([
    z.strictObject({
      name: z.literal('x-muster-hook-secret'),
      value_from_env: z.literal('MUSTER_HOOK_SECRET'),
    }),
  ]),
  retry_conf: z.strictObject({ num_retries: z.int(), interval_sec: z.int(), timeout_sec: z.int() }),
})
const triggers = z.record(z.string(), z.array(trigger))
const databases = z.tuple([
  z.looseObject({
    tables: z.array(z.looseObject({ table: z.object({ name: z.string(), schema: z.string() }) })),
  }),
])
const read = async <Schema extends z.ZodType>(schema: Schema, path: string) =>
  check(schema, await readYaml(path), path)

it('is made of config/hasura and its triggers', async () => {
  const [base] = await read(databases, 'config/hasura/metadata/databases/databases.yaml')
  const byTable = new Map(Object.entries(await read(triggers, 'config/hasura-webhooks/event_triggers.yaml')))
  const tables = base.tables.map((table) => {
    const found = byTable.get(`${table.table.schema}.${table.table.name}`)
    return found === undefined ? table : { ...table, event_triggers: found }
  })
  const { name, kind, configuration, ...rest } = base
  const text =
    header + stringify([{ name, kind, configuration, ...rest, tables }], { aliasDuplicateObjects: false })
  await expect(text).toMatchFileSnapshot(`../../../${made}`)
})

it('has whatever else is in the metadata of config/hasura', async () => {
  const others = readdirSync('config/hasura/metadata').filter((name) => name.endsWith('.yaml'))
  expect(others).toContain('version.yaml')
  for (const name of others) {
    expect(await readYaml(`config/hasura-webhooks/metadata/${name}`)).toEqual(
      await readYaml(`config/hasura/metadata/${name}`),
    )
  }
})

it('calls the webhook for what people change, not for what the daemon writes at every turn or minute', async () => {
  const found = await read(triggers, 'config/hasura-webhooks/event_triggers.yaml')
  const updates = Object.entries(found).map(([table, [one]]) => [
    table,
    one?.name,
    one?.definition.update.columns,
  ])
  expect(updates).toEqual([
    ['fleet.hosts', 'muster_hosts', ['revision']],
    ['fleet.images', 'muster_images', ['revision']],
    ['fleet.regions', 'muster_regions', expect.not.arrayContaining(['turn', 'revision', 'updated_at'])],
    ['fleet.rollouts', 'muster_rollouts', ['paused', 'switch_wanted', 'rollback_wanted']],
    ['fleet.versions', 'muster_versions', ['version']],
  ])
})

it('is read by the embedded endpoint, which says what it does not serve', async () => {
  const [base, project] = [await readProject('config/hasura'), await readProject('config/hasura-webhooks')]
  expect(base.ignored).toEqual([])
  expect(project.ignored).toEqual([
    'metadata/cron_triggers.yaml',
    'fleet.hosts: event_triggers',
    'fleet.images: event_triggers',
    'fleet.regions: event_triggers',
    'fleet.rollouts: event_triggers',
    'fleet.versions: event_triggers',
  ])
  expect(project.functions).toEqual(base.functions)
  expect(project.migrationsDirectory).toBe(base.migrationsDirectory)
})
