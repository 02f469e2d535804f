import { z } from 'zod'

import { MusterError } from '../model/errors.ts'
import type { HasuraClient } from './client.ts'
import type { FunctionName } from './documents.ts'
import { functionCall } from './documents.ts'

// Schemas are made once and never for a call: making one costs more than most answers.
const rowsShape = z.object({ rows: z.array(z.unknown()) })

/** Call one of the fleet's guarded functions (migration `functions`); gives the rows that it returned. */
export async function callFunction<Schema extends z.ZodType>(
  client: HasuraClient,
  name: FunctionName,
  args: Readonly<Record<string, unknown>>,
  row: Schema,
): Promise<readonly z.output<Schema>[]> {
  const field = `fleet_${name}`
  const answer = await client.request(functionCall(name), { args })
  return parse(rowsShape, answer, field).rows.map((given) => parse(row, given, field))
}

/** What the engine answered, as the shape that was asked for. @throws MusterError `schema-outdated` */
export function parse<Schema extends z.ZodType>(
  schema: Schema,
  answer: unknown,
  what: string,
): z.output<Schema> {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  throw new MusterError('schema-outdated', `${what}: the database's rows are not of this version's shape`, {
    details: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).slice(0, 20),
  })
}

export const timeText = (ms: number): string => new Date(ms).toISOString()
