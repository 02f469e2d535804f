import { afterAll, beforeAll, expect, it } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { migrationTexts } from '../../support/fleet-migrations.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'

describeOnPostgres('migrations', () => {
  let fleet: FleetDatabase
  beforeAll(async () => (fleet = await fleetDatabase()))
  afterAll(() => fleet.close())

  it('give the fleet an identity once, and are safe to run twice', async () => {
    await fleet.sql('drop schema fleet cascade')
    const identities = new Set<unknown>()
    // Each twice in its turn: one that was carried out and not put on record is carried out again.
    for (const text of migrationTexts().flatMap((each) => [each, each])) {
      await fleet.pool.query(text)
      const [row] = await fleet.sql('select fleet_id from fleet.settings')
      identities.add(row!['fleet_id'])
    }
    expect(identities.size).toBe(1)
  })

  it('can be taken back one by one, down to the first, and be put on again', async () => {
    const [, ...later] = migrationTexts()
    const back = migrationTexts('down').slice(0, later.length)
    for (const text of [...back, ...later]) await fleet.pool.query(text)
    await fleet.seedRegion()
    expect(await fleet.sql('select id from fleet.regions')).toEqual([{ id: 'local/demo' }])
  })
})
