import { z } from 'zod'

/** It has none: machines that join bring everything with them. */
export const staticOptions = z.strictObject({})
