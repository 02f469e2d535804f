import { z } from 'zod'

/** `options` of a region whose algorithm is `fixed`. */
export const fixedOptions = z.strictObject({
  /** How many hosts serve, 0 to 100,000; the region's `min_hosts` and `max_hosts` bound it. Required. */
  hosts: z.number().int().min(0).max(100_000),
})

export type FixedOptions = z.infer<typeof fixedOptions>
