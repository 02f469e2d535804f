/** A ManagerLink on a real database and a real mirror, with managers that a test scripts. */
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import type { DoorLimits } from '../../../src/manager-link/manager-door.ts'
import { ManagerLink } from '../../../src/manager-link/manager-link.ts'
import { Rights } from '../../../src/manager-link/rights.ts'
import { noFaults } from '../../../src/lib/fault-points.ts'
import type { Logger } from '../../../src/lib/logger.ts'
import type { Cause } from '../../../src/model/event.ts'
import { Mirror } from '../../../src/store/mirror.ts'
import { AllowList } from '../../../src/trust/allow-list.ts'
import type { ClientCertificate } from '../../support/client-certificates.ts'
import { certify, testAuthority, testFleetId } from '../../support/client-certificates.ts'
import { eventually } from '../../support/eventually.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import type { ScriptedManager } from '../../support/scripted-manager.ts'
import { aHello, dialDaemon } from '../../support/scripted-manager.ts'
import { SqlStore } from '../../support/sql-store.ts'
import { SqlTrustStore } from '../../support/sql-trust-store.ts'

export const regionId = 'local/demo'

export interface LinkedFleet {
  readonly link: ManagerLink
  readonly store: SqlStore
  readonly trust: SqlTrustStore
  readonly allowList: AllowList
  readonly rights: Rights
  readonly mirror: Mirror
  readonly wakes: readonly Cause[]
  /** What the daemon's fence() gives; undefined: it stands by. */
  fence: number | undefined
  dial(identity: ClientCertificate): ScriptedManager
  /** A certificate of a backend, which the link has heard of. */
  certify(backendId: string, options?: Parameters<typeof certify>[2]): Promise<ClientCertificate>
  /** An ACTIVE host with a backend and its certificate. */
  seedHost(id: string, columns?: Readonly<Record<string, unknown>>): Promise<ClientCertificate>
  /** The database goes away, or comes back. */
  setAway(isAway: boolean): void
  /** A manager with that certificate, welcomed. */
  connect(identity: ClientCertificate, hello?: Parameters<typeof aHello>[0]): Promise<ScriptedManager>
  /** The mirror reads the region again, as a hint would make it. */
  refresh(): Promise<void>
  agentStatus(agentId: string): Promise<string | undefined>
  hostStatus(hostId: string): Promise<string | undefined>
  becomes(read: () => Promise<string | undefined>, expected: string | undefined): Promise<void>
  stop(): Promise<void>
}

export async function linkedFleet(
  fleet: FleetDatabase,
  options: { readonly limits?: Partial<DoorLimits>; readonly logger?: Logger } = {},
): Promise<LinkedFleet> {
  const store = new SqlStore(fleet)
  const trust = new SqlTrustStore(fleet)
  const allowList = new AllowList(systemClock)
  const rights = new Rights({ trust, allowList })
  const authority = await testAuthority()
  const wakes: Cause[] = []
  const managers: ScriptedManager[] = []
  const mirror: Mirror = new Mirror({
    clock: systemClock,
    lastHeard: (hostId) => link.lastHeard(hostId),
    waitingUsers: () => 0,
  })
  const state = { fence: (await fleet.takeLease()) as number | undefined }
  const link: ManagerLink = new ManagerLink({
    ...{ store, trust, allowList, authority: () => authority, fleetId: () => testFleetId },
    rightsChanged: (of) => rights.changed(of),
    fence: () => state.fence,
    view: mirror,
    hostOf: (hostId) => mirror.host(hostId),
    applyRows: (rows, asked) => void mirror.apply(rows, asked),
    wake: (_, cause) => wakes.push(cause),
    host: '127.0.0.1',
    limits: {
      ...{ handshakes: 512, acceptsPerSecond: 10_000, failedEnrolments: 1_000, handshakeMs: 10_000 },
      ...options.limits,
    },
    heartbeatMs: 1_000,
    clock: systemClock,
    logger: options.logger ?? silentLogger,
    fault: noFaults,
  })
  await rights.rebuild()
  await link.start(0)
  const dial = (identity: ClientCertificate) => {
    const manager = dialDaemon(link.port!, identity)
    managers.push(manager)
    return manager
  }
  const certifyHere: LinkedFleet['certify'] = async (backendId, given) => {
    const identity = await certify(fleet, backendId, given)
    await rights.changed({ serials: [identity.serial], backendIds: [] })
    return identity
  }
  const refresh = () => mirror.rebuild(regionId, () => store.readRegion(regionId))
  const statusOf = async (table: string, id: string) =>
    (await fleet.sql(`select status from fleet.${table} where id = $1`, [id]))[0]?.['status'] as
      string | undefined
  return {
    link,
    ...{ store, trust, allowList, rights, mirror, wakes },
    get fence() {
      return state.fence
    },
    set fence(fence) {
      state.fence = fence
    },
    dial,
    certify: certifyHere,
    seedHost: async (id, columns = {}) => {
      await fleet.seedHosts([id], { cloud_id: `machine-${id}`, ...columns })
      await refresh()
      return certifyHere(id)
    },
    setAway: (isAway) => {
      store.isAway = isAway
      trust.isAway = isAway
    },
    connect: async (identity, hello = {}) => {
      const manager = dial(identity)
      manager.say(aHello(hello))
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
      trust.isAway = false
      for (const manager of managers) manager.close()
      await link.stop()
    },
  }
}
