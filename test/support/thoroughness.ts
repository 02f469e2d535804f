/**
 * How much of what can be repeated a run repeats: `make test` enough to see a guard that broke, `.ci/run` (which sets
 * MUSTER_TEST_FULL=1) what a developer would not wait for: each point of a kill, each case, more of what chance brings.
 */
const isFull = process.env['MUSTER_TEST_FULL'] === '1'

/** How many times: `lean` by default, `full` under MUSTER_TEST_FULL=1. */
export const runs = (lean: number, full: number): number => (isFull ? full : lean)

/** When daemons hear of changes: `fast`, or under MUSTER_TEST_TIMING=hasura by polls each second as of a real engine. */
export const endpointTiming = process.env['MUSTER_TEST_TIMING'] === 'hasura' ? 'hasura' : 'fast'
