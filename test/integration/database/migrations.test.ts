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
    const [before] = await fleet.sql('select fleet_id from fleet.settings')
    for (const text of migrationTexts()) await fleet.pool.query(text)
    const after = await fleet.sql('select fleet_id from fleet.settings')
    expect(after).toEqual([before])
  })
})
