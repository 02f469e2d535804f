/** Pull the daemon's plug at every named await of a launch: no host is doubled, none orphaned. */
import { afterEach, describe, expect, inject, it } from 'vitest'

import { expectNoneDoubledOrOrphaned } from '../../support/crash-proof.ts'
import type { Daemon } from '../../support/daemon.ts'
import { dataPaths, shortLease, startDaemon } from '../../support/daemon.ts'
import { runs } from '../../support/thoroughness.ts'

let daemon: Daemon
let drop: () => Promise<void>
afterEach(async () => {
  await daemon.dispose()
  await drop()
})

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
  // One data path after the other, PGlite first.
  const paths = dataPaths.filter(({ name }) => name === 'PGlite' || inject('postgresUrl') !== '')
  const cases = points.map((point, index) => ({ point, path: paths[index % paths.length]! }))
  it.each(cases.slice(0, runs(2, points.length)))('$point on $path.name', async ({ point, path }) => {
    const database = await path.open()
    drop = () => database.drop()
    daemon = await startDaemon({
      ...(database.url === undefined ? {} : { databaseUrl: database.url }),
      environment: { ...shortLease, MUSTER_FAULTS: point },
      until: 'spawned',
    })
    expect(await daemon.exit()).toBe('SIGKILL')
    await daemon.start('ready', { MUSTER_FAULTS: '' })
    await daemon.untilFree(4)
    await expectNoneDoubledOrOrphaned(daemon)
    expect(await daemon.hosts()).toHaveLength(2)
  })
})
