import { z } from 'zod'

/**
 * What can be set of the provider. Strict: a name that is misspelt is a fault, not silence. Each option has a line on
 * what it is, its unit and its default.
 */
export const templateOptions = z.strictObject({
  /** Machines that the account may have at once. */
  quota: z.int().min(0).default(100),
})
