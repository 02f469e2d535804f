import { machineMs } from './statistics.ts'

/** What a crowd of callers came to. */
export interface CrowdResult {
  readonly perSecond: number
  /** How long each call took, in milliseconds. */
  readonly samples: readonly number[]
}

/** `callers` at once, each calling again as soon as it is answered, until there have been `calls`. */
export async function crowd(
  callers: number,
  calls: number,
  call: (number: number, caller: number) => Promise<void>,
): Promise<CrowdResult> {
  const samples: number[] = []
  let begun = 0
  const startedAt = machineMs()
  const loop = async (caller: number): Promise<void> => {
    while (begun < calls) {
      begun += 1
      const from = machineMs()
      await call(begun, caller)
      samples.push(machineMs() - from)
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, caller) => loop(caller)))
  return { perSecond: (calls / (machineMs() - startedAt)) * 1000, samples }
}
