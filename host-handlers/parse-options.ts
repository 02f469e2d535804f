import type { z } from 'zod'

import { MusterError } from '../src/model/errors.ts'

/**
 * A provider's options from the configuration.
 *
 * @throws MusterError `config-invalid` with every fault in `details`.
 */
export function parseOptions<Options>(
  provider: string,
  schema: z.ZodType<Options>,
  options: unknown,
): Options {
  const parsed = schema.safeParse(options ?? {})
  if (parsed.success) return parsed.data
  const details = parsed.error.issues.map(({ path, message }) =>
    path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`,
  )
  const message = `The options of provider "${provider}" are wrong: ${details.join('; ')}`
  throw new MusterError('config-invalid', message, { details })
}
