import { hostRow } from '../../src/hasura/rows.ts'
import { allowedRow, backendRow, certificateRow } from '../../src/hasura/trust-rows.ts'
import { MusterError } from '../../src/model/errors.ts'
import type { TrustStore } from '../../src/store/trust-store.ts'
import type { FleetDatabase } from './fleet-database.ts'

type LinkTrust = Pick<
  TrustStore,
  | 'readAllowed'
  | 'readAllowedOf'
  | 'redeemToken'
  | 'storeCertificate'
  | 'connectBackend'
  | 'disconnectBackends'
  | 'flushBackends'
  | 'reportInfo'
>

const live = `from fleet.certificates r join fleet.backends b on b.id = r.backend_id
  where fleet.certificate_is_live(r) and b.status in ('ENABLED', 'TERMINATING')`

/** What the managers' door needs of a store, in plain SQL, with a switch that takes the database away. */
export class SqlTrustStore implements LinkTrust {
  readonly #fleet: FleetDatabase
  isAway = false

  constructor(fleet: FleetDatabase) {
    this.#fleet = fleet
  }

  async readAllowed() {
    return (await this.#rows(live, [])).map((row) => allowedRow.parse(row))
  }

  async readAllowedOf({ serials, backendIds }: Parameters<TrustStore['readAllowedOf']>[0]) {
    const rows = await this.#rows(`${live} and (r.serial = any ($1) or r.backend_id = any ($2))`, [
      serials,
      backendIds,
    ])
    return rows.map((row) => allowedRow.parse(row))
  }

  async redeemToken(redemption: Parameters<TrustStore['redeemToken']>[0], fence: number) {
    const { tokenId, secretHash, spkiHash, cloudId, address } = redemption
    const args = [tokenId, secretHash, spkiHash, cloudId, address, fence]
    const [row] = await this.#rows('from fleet.redeem_token($1, $2, $3, $4, $5, $6) r', args)
    return row === undefined ? undefined : backendRow.parse(row)
  }

  async storeCertificate(...[backendId, certificate, options]: Parameters<TrustStore['storeCertificate']>) {
    const { serial, spkiHash, issuer, pem, notBefore, notAfter } = certificate
    const row = {
      ...{ serial, spki_hash: spkiHash, issuer, pem, key_made_here: certificate.keyMadeHere },
      not_before: new Date(notBefore).toISOString(),
      not_after: new Date(notAfter).toISOString(),
    }
    const args = [backendId, JSON.stringify(row), options.renews, options.actor]
    const [stored] = await this.#rows('from fleet.store_certificate($1, $2, $3, $4) r', args)
    return stored === undefined ? undefined : certificateRow.parse(stored)
  }

  async connectBackend(...[serial, { address, capacity }, fence]: Parameters<TrustStore['connectBackend']>) {
    const args = [serial, address, capacity, fence]
    const [row] = await this.#rows('from fleet.connect_backend($1, $2, $3, $4) r', args)
    if (row === undefined) return undefined
    const backend = backendRow.parse(row)
    const where = `from fleet.hosts r where r.id = $1 and r.status <> 'TERMINATED'`
    const [host] = await this.#rows(where, [backend.hostId])
    return { backend, host: host === undefined ? undefined : hostRow.parse(host) }
  }

  async disconnectBackends(backendIds: readonly string[] | undefined, fence: number) {
    const ids = backendIds === undefined ? null : JSON.stringify(backendIds)
    await this.#rows('from fleet.disconnect_backends($1, $2) r', [ids, fence])
  }

  async flushBackends(beats: ReadonlyMap<string, number>, fence: number) {
    const byBackend = Object.fromEntries([...beats].map(([id, at]) => [id, new Date(at).toISOString()]))
    await this.#rows('from fleet.flush_backends($1, $2) r', [JSON.stringify(byBackend), fence])
  }

  async reportInfo(backendId: string, info: Buffer, fence: number) {
    const args = [backendId, info.toString('hex'), fence]
    return (await this.#rows('from fleet.report_info($1, $2, $3) r', args)).length > 0
  }

  async #rows(from: string, params: readonly unknown[]): Promise<readonly unknown[]> {
    if (this.isAway) throw new MusterError('database-unavailable', 'away', { retryable: true })
    try {
      const rows = await this.#fleet.sql(`select to_jsonb(r) as row ${from}`, params)
      return rows.map((row): unknown => row['row'])
    } catch (error) {
      throw new MusterError('database-refused', String(error), { cause: error })
    }
  }
}
