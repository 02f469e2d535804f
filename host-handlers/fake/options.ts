import { z } from 'zod'

export const fakeOptions = z.strictObject({
  /** Machines that the account may have at once. */
  quota: z.int().min(0).optional(),
  /** How long a launch takes, in milliseconds. */
  launch_ms: z.number().min(0).default(0),
  /** From the first terminate to the machine's end, in milliseconds. */
  terminate_ms: z.number().min(0).default(0),
})
export type FakeOptions = z.infer<typeof fakeOptions>
