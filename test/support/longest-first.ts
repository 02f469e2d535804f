/**
 * The order of files: vitest knows nothing of their durations on a fresh machine and begins with the largest, but those
 * that take longest are short texts about processes that are killed. Begun last, one of them would be waited for alone.
 */
import type { TestSpecification } from 'vitest/node'
import { BaseSequencer } from 'vitest/node'

/** The longest first, below test. */
const long = [
  'unit/rollout/laws',
  'integration/daemon/rollouts',
  'integration/aws/crash-at-each-request',
  'integration/aws/fault-schedules',
  'integration/daemon/crash-points',
  'integration/embedded/kills',
  'integration/daemon/crash-instants',
  'integration/aws/refusals',
  'integration/daemon/main-job',
  'integration/daemon/sweep',
  'integration/daemon/rollout-commands',
  'integration/aws/rollout',
  'integration/embedded/backup',
  'integration/daemon/bad-input',
  'integration/daemon/trust',
  'integration/daemon/database-away',
  'integration/aws/life',
  'integration/daemon/crash-hosts',
  'integration/daemon/interruptions',
  'integration/embedded/data-directory',
  'integration/daemon/two-daemons',
  'integration/host-handlers/aws',
  'integration/embedded/fuzz',
  'integration/host-handlers/aws-settings',
  'integration/embedded/contract/contract',
]

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification) => {
      const rank = long.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`))
      return rank < 0 ? long.length : rank
    }
    return (await super.sort(files)).toSorted((one, other) => rankOf(one) - rankOf(other))
  }
}
