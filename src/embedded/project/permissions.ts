/** A table's permissions, as the metadata writes them; what their expressions mean is found out with the catalog. */
import { z } from 'zod'

const name = z.string().min(1)
const columns = z.union([z.literal('*'), z.array(name)])
const expression = z.record(z.string(), z.unknown()).nullish()
const presets = z.record(name, z.unknown()).nullish()
const rootFields = z.array(z.string()).nullish()

const permissionsOf = <Schema extends z.ZodType>(permission: Schema) =>
  z.array(z.object({ role: name, permission })).default([])

export const tablePermissions = {
  select_permissions: permissionsOf(
    z.object({
      columns: columns.default([]),
      /** Those that give a scalar; the others follow the permissions of the table that they give rows of. */
      computed_fields: z.array(name).nullish(),
      filter: expression,
      limit: z.int().min(0).nullish(),
      allow_aggregations: z.boolean().nullish(),
      query_root_fields: rootFields,
      subscription_root_fields: rootFields,
    }),
  ),
  insert_permissions: permissionsOf(
    z.object({
      columns: columns.default('*'),
      check: expression,
      set: presets,
      backend_only: z.boolean().nullish(),
    }),
  ),
  update_permissions: permissionsOf(
    z.object({
      columns: columns.default([]),
      filter: expression,
      check: expression,
      set: presets,
      backend_only: z.boolean().nullish(),
    }),
  ),
  delete_permissions: permissionsOf(z.object({ filter: expression, backend_only: z.boolean().nullish() })),
}

export type ColumnChoice = z.output<typeof columns>
