/** The main path where subscriptions are polled each second, as a real Hasura does: nothing depends on more than rows. */
import { afterAll, beforeAll, expect, it } from 'vitest'

import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'

let daemon: Daemon

beforeAll(async () => {
  daemon = await startDaemon({ environment: { MUSTER_GRAPHQL_TIMING: 'hasura' } })
})
afterAll(async () => daemon.dispose())

it('fills the buffer, seats a user, and replaces a host that an operator drains', async () => {
  await daemon.untilFree(4)
  const seat = await daemon.seat('ann')
  expect((await fetch(`http://${seat.address}:${seat.port}/`)).status).toBe(200)
  await daemon.untilFree(4)
  await daemon.graphql(
    'mutation ($id: String!) { update_fleet_hosts_by_pk(pk_columns: {id: $id}, _set: {status: "DRAINING", reason: "kernel update"}) { id } }',
    { id: seat.host_id },
  )
  await fetch(`http://${seat.address}:${seat.port}/end`, { method: 'POST' })
  await eventually(async () => !(await daemon.hosts()).some(({ id }) => id === seat.host_id), {
    what: `the drained host is gone\n${daemon.output.slice(-3_000)}`,
  })
  await daemon.untilFree(4)
})

it('takes a region out of service and back', async () => {
  await daemon.setRegion({ enabled: false })
  await eventually(async () => (await daemon.assign('ben')).body.code === 'region-not-enabled')
  await daemon.setRegion({ enabled: true, target_free_agents: 2 })
  await daemon.untilFree(2)
})
