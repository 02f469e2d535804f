import { z } from 'zod'

/** `options` of a region whose algorithm is `default`. The buffer itself is the region's `target_free_agents`. */
export const defaultOptions = z.strictObject({
  /**
   * How long a host must have been empty before it is drained, in seconds: 0 to 86,400, by default 0. A wait of about
   * half the boot time spares launches where demand comes and goes quickly, at the price of idle hosts.
   */
  idle_seconds: z.number().int().min(0).max(86_400).default(0),
})

export type DefaultOptions = z.infer<typeof defaultOptions>
