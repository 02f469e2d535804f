/** config/hasura-webhooks is config/hasura with triggers: nothing less, nothing else. */
import { expect, it } from 'vitest'
import { z } from 'zod'

import { readProject } from '../../../src/embedded/project/metadata.ts'
import { check, readYaml } from '../../../src/embedded/project/yaml-file.ts'

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
const databases = z.tuple([
  z.looseObject({
    tables: z.array(
      z.looseObject({
        table: z.object({ name: z.string() }),
        event_triggers: z.array(z.unknown()).optional(),
      }),
    ),
  }),
])
const read = async (project: string) => {
  const path = `config/${project}/metadata/databases/databases.yaml`
  return check(databases, await readYaml(path), path)[0]
}

it('is like config/hasura, but for its triggers (copy what differs from there)', async () => {
  const withTriggers = await read('hasura-webhooks')
  const tables = withTriggers.tables.map(({ event_triggers: _, ...table }) => table)
  expect({ ...withTriggers, tables }).toEqual(await read('hasura'))
})

it('calls the webhook for regions, images and hosts, with nothing of the row but its key', async () => {
  const found = (await read('hasura-webhooks')).tables.flatMap(({ table, event_triggers: given = [] }) =>
    z
      .array(trigger)
      .parse(given)
      .map(({ name, definition }) => ({ table: table.name, name, updates: definition.update.columns })),
  )
  expect(found).toEqual([
    { table: 'hosts', name: 'muster_hosts', updates: ['revision'] },
    { table: 'images', name: 'muster_images', updates: ['revision'] },
    // Not `turn` and `revision`: every turn writes them.
    {
      table: 'regions',
      name: 'muster_regions',
      updates: expect.not.arrayContaining(['turn', 'revision', 'updated_at']) as unknown,
    },
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
  ])
  expect(project.functions).toEqual(base.functions)
  expect(project.migrationsDirectory).toBe(base.migrationsDirectory)
})
