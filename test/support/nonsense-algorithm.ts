import { z } from 'zod'

import type { AlgorithmDecision } from '../../src/model/decision.ts'
import type { ScalingAlgorithm } from '../../src/model/scaling-algorithm.ts'

/** A plugin from outside that plans what cannot be: nothing of it may happen. */
export const algorithm: ScalingAlgorithm = {
  name: 'nonsense',
  options: z.unknown(),
  plan: ({ activeImage }) =>
    [
      { kind: 'drain', hostId: 'no-such-host', reason: 'because' },
      { kind: 'launch', count: 1.5, imageId: activeImage?.id ?? '', reason: 'one and a half' },
      { kind: 'launch', count: 1_000, imageId: activeImage?.id ?? '', reason: 'far too many' },
      { kind: 'dance', reason: 'no such kind' },
      null,
    ] as readonly AlgorithmDecision[],
}
