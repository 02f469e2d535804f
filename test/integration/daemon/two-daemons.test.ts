/** Two daemons on one database. Exempt on PGlite: its data directory is one daemon's (data-directory-locked). */
import { afterEach, expect, it } from 'vitest'

import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import type { FreshDatabase } from '../../support/fresh-database.ts'
import { describeOnPostgres, freshDatabase } from '../../support/fresh-database.ts'

describeOnPostgres('two daemons on one database', () => {
  let database: FreshDatabase
  const daemons: Daemon[] = []
  afterEach(async () => {
    // The second first: it borrows the other's data directory.
    for (const daemon of daemons.splice(0).reverse()) await daemon.dispose()
    await database.drop()
  })

  async function startTwo(): Promise<[Daemon, Daemon]> {
    database = await freshDatabase()
    const first = await startDaemon({ databaseUrl: database.url })
    daemons.push(first)
    await first.untilFree(4)
    const second = await startDaemon({ databaseUrl: database.url, dataDir: first.dataDir, until: 'alive' })
    daemons.push(second)
    return [first, second]
  }

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'one acts, the other stands by and takes over after %s',
    async (signal) => {
      const [first, second] = await startTwo()
      await eventually(async () => JSON.stringify((await second.fetch('/readyz')).body).includes('standby'))
      expect((await second.fetch('/readyz')).status).toBe(503)
      expect((await second.assign('ann')).body.code).toBe('unavailable')
      const before = (await first.hosts()).map((host) => host.id)
      const seat = await first.seat('ben')
      await fetch(`http://${seat.address}:${seat.port}/`)

      await first.signal(signal)
      await eventually(async () => (await second.fetch('/readyz')).status === 200, {
        what: 'takes over',
      })
      await second.untilFree(4)
      const after = (await second.hosts()).map((host) => host.id)
      expect(after).toEqual(expect.arrayContaining(before))
      expect((await second.processes()).size).toBe(after.length)
      expect((await fetch(`http://${seat.address}:${seat.port}/`)).status).toBe(200)
      expect((await second.assign('ann')).status).toBe(200)
    },
  )
})
