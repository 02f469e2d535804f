import { afterAll, beforeAll, expect, it } from 'vitest'

import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'

let daemon: Daemon

beforeAll(async () => {
  // Nothing but what happens may wake the region.
  const environment = { MUSTER_TICK: '0 0 1 1 *', MUSTER_RESYNC_S: '3600', MUSTER_SWEEP_S: '3600' }
  daemon = await startDaemon({ environment })
})
afterAll(() => daemon.dispose())

it('a drained host that is not replaced ends as soon as its manager has stopped its agents', async () => {
  await daemon.untilFree(4)
  // A silent manager would be given longer than this test waits.
  await daemon.setRegion({ target_free_agents: 0, deadlines: { heartbeat: 120 } })
  const [host] = await daemon.hosts()
  await daemon.graphql(
    'mutation ($id: String!) { update_fleet_hosts_by_pk(pk_columns: {id: $id}, _set: {status: "DRAINING"}) { id } }',
    { id: host!.id },
  )
  await eventually(async () => (await daemon.hosts()).every(({ id }) => id !== host!.id), {
    what: 'its row ends well before the time that a silent manager is given',
  })
  expect(daemon.hasExited).toBe(false)
})
