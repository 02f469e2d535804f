import type { z } from 'zod'

import { MusterError } from '../model/errors.ts'

/** What came in, as the shape that is wanted. @throws MusterError `invalid-request` with every fault in `details` */
export function checked<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  throw new MusterError('invalid-request', 'the request has faults', {
    details: parsed.error.issues.map(({ path, message }) =>
      path.length === 0 ? message : `${path.join('.')}: ${message}`,
    ),
  })
}
