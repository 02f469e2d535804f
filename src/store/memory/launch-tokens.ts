/**
 * Of the trust functions what a launch needs: its token, and the machine that comes with it. A backend here is no more than
 * who enrolled; certificates, audit and what people do with backends are not of this database.
 */
import type { Host } from '../../model/host.ts'
import type { LaunchToken } from '../fleet-store.ts'
import type { Redemption } from '../trust-store.ts'
import { hostsOfLaunch, updateHost } from './host-rows.ts'
import { bindLaunch } from './launches.ts'
import type { MemoryDatabase } from './memory-database.ts'
import type { BackendRow, HostRow, TokenRow } from './rows.ts'

/** As `fleet.store_launch_token`; false: a token of that name is another's. A repeat stores nothing but a later end. */
export function storeLaunchToken(db: MemoryDatabase, launchId: string, token: LaunchToken): boolean {
  const { id, secretHash, uses, lifetimeS } = token
  const known = db.tokens.get(id)
  if (known !== undefined && (known.launchId !== launchId || known.secretHash !== secretHash)) return false
  const expiresAt = Math.max(known?.expiresAt ?? 0, db.now() + lifetimeS * 1000)
  db.tokens.put({ ...(known ?? { id, secretHash, launchId, uses, used: 0 }), expiresAt })
  return true
}

/**
 * As `fleet.redeem_token`: gives the host that the machine is bound to, undefined when it may not enrol.
 * @throws MusterError `database-refused` when the lease is not held
 */
export function redeemToken(
  db: MemoryDatabase,
  redemption: Redemption,
  fence: number,
): Promise<Host | undefined> {
  return db.transact(() => {
    db.demandLease(fence)
    const token = db.tokens.get(redemption.tokenId)
    if (token?.secretHash !== redemption.secretHash || token.expiresAt <= db.now()) return undefined
    return redemption.cloudId === '' ? undefined : redeem(db, token, redemption)
  })
}

function redeem(db: MemoryDatabase, token: TokenRow, redemption: Redemption): Host | undefined {
  const { cloudId, spkiHash, address } = redemption
  const ofMachine = (): HostRow | undefined =>
    hostsOfLaunch(db, token.launchId).find((host) => host.cloudId === cloudId)
  const bound = ofMachine()
  const backend = db.backends.get(bound?.id ?? null)
  if (bound !== undefined && backend !== undefined) {
    if (backend.spkiHash === spkiHash) return backend.status === 'ENABLED' ? bound : undefined
    drain(db, bound, 'its enrolment token was used with another key')
    return undefined
  }
  if (token.used >= token.uses) {
    for (const host of hostsOfLaunch(db, token.launchId)) {
      if (db.backends.get(host.id)?.tokenId !== token.id) continue
      drain(db, host, 'its enrolment token was used by one machine too many')
    }
    return undefined
  }
  if (bound === undefined) bindLaunch(db, token.launchId, [cloudId])
  const host = ofMachine()
  if (host === undefined || host.status === 'TERMINATING' || host.status === 'TERMINATED') return undefined
  if (db.backends.values().some((other) => other.spkiHash === spkiHash)) return undefined
  const made: BackendRow = { id: host.id, tokenId: token.id, spkiHash, status: 'ENABLED', terminatedAt: null }
  db.backends.put(made)
  db.tokens.put({ ...token, used: token.used + 1 })
  return updateHost(db, host, { address })
}

function drain(db: MemoryDatabase, host: HostRow, reason: string): void {
  if (host.status === 'DRAINING' || host.status === 'TERMINATING' || host.status === 'TERMINATED') return
  updateHost(db, host, { status: 'DRAINING', reason })
}
