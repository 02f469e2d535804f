import { z } from 'zod'

import { MusterError } from '../model/errors.ts'

// What PostgreSQL refuses in a text, and people do not mean: control characters and halves of characters.
const unstorable = /[\p{Cc}\p{Cs}]/u

export function isStorable(text: string): boolean {
  return !unstorable.test(text)
}

/** A name or id: 1 to `max` characters that can be stored. */
export const plainText = (max: number) =>
  z.string().min(1).max(max).refine(isStorable, 'must hold no control characters')

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
