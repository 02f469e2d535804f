/** Who may connect, from end to end: real managers, a real daemon, and a database that takes their right. */
import { afterEach, expect, it } from 'vitest'

import { expectNoneDoubledOrOrphaned } from '../../support/crash-proof.ts'
import type { Daemon } from '../../support/daemon.ts'
import { shortLease, startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres, freshDatabase } from '../../support/fresh-database.ts'
import { runs } from '../../support/thoroughness.ts'

describeOnPostgres('the right to connect', () => {
  let daemon: Daemon
  let drop: () => Promise<void> = () => Promise.resolve()
  const start = async (options: Parameters<typeof startDaemon>[0] = {}) => {
    const database = await freshDatabase()
    drop = () => database.drop()
    daemon = await startDaemon({ ...options, databaseUrl: database.url })
  }
  afterEach(async () => {
    await daemon.dispose()
    await drop()
  })

  it('a backend that is terminated in the database loses its stream, its host ends at once and is replaced', async () => {
    // Nothing but what happens may end the host: not the sweep, nor a tick.
    await start({
      environment: { MUSTER_SWEEP_S: '3600', MUSTER_TICK: '0 0 1 1 *', MUSTER_RESYNC_S: '3600' },
    })
    await daemon.untilFree(4)
    const [host] = await daemon.hosts()
    await daemon.graphql(
      `mutation ($id: String!) { terminate_backend: fleet_terminate_backend(
        args: {id: $id, reason: "user", agents: "kill", actor: "test"}) { id status } }`,
      { id: host!.id },
    )
    await eventually(async () => !(await daemon.hosts()).some(({ id }) => id === host!.id))
    await daemon.untilFree(4)
    await expectNoneDoubledOrOrphaned(daemon)
    expect(daemon.output).toContain('manager disconnected')
  })

  const points = ['enrol.after-redeem', 'enrol.after-store', 'enrol.before-redeem', 'launch.before-call']
  it.each(points.slice(0, runs(1, points.length)))(
    'a daemon killed at %s lets the same managers in afterwards',
    async (point) => {
      await start({ environment: { ...shortLease, MUSTER_FAULTS: point }, until: 'spawned' })
      expect(await daemon.exit()).toBe('SIGKILL')
      await daemon.start('ready', { MUSTER_FAULTS: '' })
      await daemon.untilFree(4)
      await expectNoneDoubledOrOrphaned(daemon)
      expect(await daemon.hosts()).toHaveLength(2)
      const { fleet_certificates: certificates } = await daemon.graphql<{
        fleet_certificates: readonly object[]
      }>('query { fleet_certificates { serial } }')
      expect(certificates).toHaveLength(2)
    },
  )
})
