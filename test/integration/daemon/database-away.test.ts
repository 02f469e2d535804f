/** The database goes away and comes back. Exempt on PGlite: it lives in the daemon and has no server to stop. */
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, beforeAll, expect, it } from 'vitest'

import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import type { Postgres } from '../../support/postgres.ts'
import { startPostgres } from '../../support/postgres.ts'

describeOnPostgres('a PostgreSQL that is stopped as by a crash, for 30 s', () => {
  let postgres: Postgres
  let daemon: Daemon
  beforeAll(async () => {
    postgres = await startPostgres()
    daemon = await startDaemon({ databaseUrl: postgres.url })
  })
  afterAll(async () => {
    await daemon.dispose()
    await postgres.close()
  })

  it('is said to be away; on its return an UPDATE acts again, and no host was given up', async () => {
    await daemon.untilFree(4)
    const before = await daemon.hosts()
    await postgres.stop('immediate')
    await eventually(async () => (await daemon.fetch('/readyz')).status === 503, { what: '/readyz says 503' })
    const ready = await daemon.fetch('/readyz')
    expect(JSON.stringify(ready.body)).toMatch(/database/)
    const assign = await daemon.assign('ann')
    expect({ status: assign.status, code: assign.body.code }).toEqual({ status: 503, code: 'unavailable' })
    expect((await daemon.fetch('/healthz')).status).toBe(200)
    // The absence itself is what is tested: longer than the lease and the heartbeat deadline.
    const absenceMs = 30_000
    await sleep(absenceMs)

    await postgres.start()
    // Promised are 2 s on a machine with nothing else to do; a back-off that grew during the absence takes far longer.
    const soon = { timeoutMs: 12_000 }
    await eventually(
      async () => {
        await daemon.setRegion({ target_free_agents: 6 })
        return true
      },
      { ...soon, what: 'an UPDATE is taken' },
    )
    await eventually(async () => (await daemon.hosts()).length === 3, {
      ...soon,
      what: 'the UPDATE acts',
    })
    await eventually(async () => (await daemon.fetch('/readyz')).status === 200, soon)
    await daemon.untilFree(6)
    const after = await daemon.hosts()
    for (const host of before)
      expect(after.find((one) => one.id === host.id)).toMatchObject({ status: 'ACTIVE' })
    expect((await daemon.processes()).size).toBe(3)
    const kinds = (await daemon.decisions('region=local/demo&limit=100')).map((decision) => decision.kind)
    expect(kinds.filter((kind) => kind !== 'launch' && kind !== 'refuse')).toEqual([])
    expect((await daemon.assign('ann')).status).toBe(200)
  }, 300_000)
})
