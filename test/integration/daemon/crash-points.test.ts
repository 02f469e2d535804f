/** Pull the daemon's plug at every named await of a launch: no host is doubled, none orphaned. */
import { afterEach, describe, expect, it } from 'vitest'

import { expectNoneDoubledOrOrphaned } from '../../support/crash-proof.ts'
import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'

let daemon: Daemon
afterEach(async () => daemon.dispose())

describe('kill -9 of the daemon at each named await of a launch', () => {
  it.each([
    'turn.before-commit',
    'turn.after-commit',
    'launch.before-call',
    'local.after-directory',
    'local.after-directory#2',
    'local.after-spawn',
    'local.after-spawn#2',
    'launch.after-call',
    'launch.after-finish',
  ])('%s', async (point) => {
    daemon = await startDaemon({ environment: { MUSTER_FAULTS: point }, until: 'alive' })
    expect(await daemon.exit()).toBe('SIGKILL')
    await daemon.start('ready', { MUSTER_FAULTS: '' })
    await daemon.untilFree(4)
    await expectNoneDoubledOrOrphaned(daemon)
    expect(await daemon.hosts()).toHaveLength(2)
  })
})
