/** A ManagerLink on a real database and a real mirror, with managers that a test scripts. */
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { ManagerLink } from '../../../src/manager-link/manager-link.ts'
import type { Cause } from '../../../src/model/event.ts'
import { Mirror } from '../../../src/store/mirror.ts'
import { eventually } from '../../support/eventually.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import type { ScriptedManager } from '../../support/scripted-manager.ts'
import { aHello, aHostKey, dialDaemon, hashOf } from '../../support/scripted-manager.ts'
import { SqlStore } from '../../support/sql-store.ts'

export const fleetKey = 'the fleet key of the tests'
export const regionId = 'local/demo'

export interface LinkedFleet {
  readonly link: ManagerLink
  readonly store: SqlStore
  readonly mirror: Mirror
  readonly wakes: readonly Cause[]
  /** What the daemon's fence() gives; undefined: it stands by. */
  fence: number | undefined
  dial(): ScriptedManager
  /** An ACTIVE host with a known key. */
  seedHost(id: string, columns?: Readonly<Record<string, unknown>>): Promise<string>
  /** A manager of that host, welcomed. */
  connect(hostKey: string, hello?: Parameters<typeof aHello>[0]): Promise<ScriptedManager>
  /** The mirror reads the region again, as a hint would make it. */
  refresh(): Promise<void>
  agentStatus(agentId: string): Promise<string | undefined>
  hostStatus(hostId: string): Promise<string | undefined>
  becomes(read: () => Promise<string | undefined>, expected: string | undefined): Promise<void>
  stop(): Promise<void>
}

export async function linkedFleet(fleet: FleetDatabase): Promise<LinkedFleet> {
  const store = new SqlStore(fleet)
  const wakes: Cause[] = []
  const managers: ScriptedManager[] = []
  const mirror: Mirror = new Mirror({
    clock: systemClock,
    lastHeard: (hostId) => link.lastHeard(hostId),
    waitingUsers: () => 0,
  })
  const state = { fence: (await fleet.takeLease()) as number | undefined }
  const link: ManagerLink = new ManagerLink({
    store,
    fence: () => state.fence,
    view: mirror,
    hostOf: (hostId) => mirror.host(hostId),
    applyRows: (rows, asked) => void mirror.apply(rows, asked),
    wake: (_, cause) => wakes.push(cause),
    fleetKey,
    heartbeatMs: 1_000,
    clock: systemClock,
    logger: silentLogger,
  })
  await link.start(0)
  const dial = () => {
    const manager = dialDaemon(link.port!)
    managers.push(manager)
    return manager
  }
  const refresh = () => mirror.rebuild(regionId, () => store.readRegion(regionId))
  const statusOf = async (table: string, id: string) =>
    (await fleet.sql(`select status from fleet.${table} where id = $1`, [id]))[0]?.['status'] as
      string | undefined
  return {
    link,
    store,
    mirror,
    wakes,
    get fence() {
      return state.fence
    },
    set fence(fence) {
      state.fence = fence
    },
    dial,
    seedHost: async (id, columns = {}) => {
      const hostKey = aHostKey()
      await fleet.seedHosts([id], {
        manager_key_hash: hashOf(hostKey),
        cloud_id: `machine-${id}`,
        ...columns,
      })
      await refresh()
      return hostKey
    },
    connect: async (hostKey, hello = {}) => {
      const manager = dial()
      manager.say(aHello({ hostKey, ...hello }))
      await manager.hears('welcome')
      return manager
    },
    refresh,
    agentStatus: (agentId) => statusOf('agents', agentId),
    hostStatus: (hostId) => statusOf('hosts', hostId),
    becomes: async (read, expected) => {
      await eventually(async () => (await read()) === expected, {
        what: `the status is ${expected ?? 'no more'}`,
      })
    },
    stop: async () => {
      store.isAway = false
      for (const manager of managers) manager.close()
      await link.stop()
    },
  }
}
