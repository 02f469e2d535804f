/** Pull the daemon's plug at every named await of a launch: no host is doubled, none orphaned. */
import { afterEach, describe, expect, it } from 'vitest'

import { expectNoneDoubledOrOrphaned } from '../../support/crash-proof.ts'
import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { runs } from '../../support/thoroughness.ts'

let daemon: Daemon
afterEach(async () => daemon.dispose())

describe('kill -9 of the daemon at each named await of a launch', () => {
  // In the order of how much is left half done: what a lean run shows stands for the others.
  const points = [
    'local.after-spawn#2',
    'turn.after-commit',
    'local.after-directory',
    'launch.after-call',
    'launch.before-call',
    'local.after-spawn',
    'local.after-directory#2',
    'launch.after-finish',
    'turn.before-commit',
  ]
  it.each(points.slice(0, runs(4, points.length)))('%s', async (point) => {
    daemon = await startDaemon({ environment: { MUSTER_FAULTS: point }, until: 'alive' })
    expect(await daemon.exit()).toBe('SIGKILL')
    await daemon.start('ready', { MUSTER_FAULTS: '' })
    await daemon.untilFree(4)
    await expectNoneDoubledOrOrphaned(daemon)
    expect(await daemon.hosts()).toHaveLength(2)
  })
})
