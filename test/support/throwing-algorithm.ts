import { z } from 'zod'

import type { ScalingAlgorithm } from '../../src/model/scaling-algorithm.ts'

/** A plugin from outside, at its worst. */
export const algorithm: ScalingAlgorithm = {
  name: 'throwing',
  options: z.unknown(),
  plan: () => {
    throw new Error('I always do')
  },
}
