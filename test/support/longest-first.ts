/**
 * The order of files: vitest knows nothing of their durations on a fresh machine and begins with the largest, but those
 * that take longest are short texts about processes that are killed. Begun last, one of them would be waited for alone.
 */
import type { TestSpecification } from 'vitest/node'
import { BaseSequencer } from 'vitest/node'

/** The longest first, below test/integration. */
const long = [
  'aws/crash-at-each-request',
  'aws/fault-schedules',
  'daemon/crash-points',
  'embedded/kills',
  'daemon/crash-instants',
  'aws/refusals',
  'daemon/main-job',
  'daemon/sweep',
  'daemon/bad-input',
  'daemon/trust',
  'daemon/database-away',
  'aws/life',
  'daemon/crash-hosts',
  'daemon/interruptions',
  'embedded/data-directory',
  'daemon/two-daemons',
  'host-handlers/aws',
  'embedded/fuzz',
  'host-handlers/aws-settings',
  'embedded/contract/contract',
]

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification) => {
      const rank = long.findIndex((name) => moduleId.endsWith(`/test/integration/${name}.test.ts`))
      return rank < 0 ? long.length : rank
    }
    return (await super.sort(files)).toSorted((one, other) => rankOf(one) - rankOf(other))
  }
}
