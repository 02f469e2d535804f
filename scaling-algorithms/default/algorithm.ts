/**
 * Keeps `target_free_agents` free on the ACTIVE image, plus one for each user who waits, within `min_hosts` and
 * `max_hosts`. Launches at once, whatever woke the region; drains on the tick only. docs/algorithms.md has the policy.
 */
import { countCapacity } from '../../src/model/capacity.ts'
import { isTick } from '../../src/model/event.ts'
import { fullestHostFirst } from '../../src/model/ranking.ts'
import type { ScalingAlgorithm } from '../../src/model/scaling-algorithm.ts'
import { planDrains } from './drains.ts'
import { planLaunches } from './launches.ts'
import type { DefaultOptions } from './options.ts'
import { defaultOptions } from './options.ts'

export const algorithm: ScalingAlgorithm<DefaultOptions> = {
  name: 'default',
  options: defaultOptions,
  plan(snapshot, event, options) {
    const capacity = countCapacity(snapshot)
    const launches = planLaunches(snapshot, capacity)
    if (!isTick(event)) return launches
    return [...launches, ...planDrains(snapshot, capacity, options)]
  },
  rank: (snapshot) => fullestHostFirst(snapshot),
}
