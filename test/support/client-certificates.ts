import type { Authority } from '../../src/trust/authority.ts'
import { keyPairAndCsr } from '../../src/trust/new-key.ts'
import { openAuthority } from '../../src/trust/open-authority.ts'
import { authorityFiles, caPassphrase } from './an-authority.ts'
import type { FleetDatabase } from './fleet-database.ts'

/** The fleet of tests that have no database to name one. */
export const testFleetId = 'fleet-of-the-tests'

export interface ClientCertificate {
  readonly backendId: string
  readonly serial: string
  /** PEM. */
  readonly key: string
  /** PEM: the leaf alone. */
  readonly certificate: string
  /** PEM: what a server's certificate may chain to. */
  readonly ca: string
}

let opened: Promise<Authority> | undefined

/** The tests' own authority, opened once in a process. */
export function testAuthority(): Promise<Authority> {
  opened ??= authorityFiles().then((files) =>
    openAuthority({ ...files, passphrase: caPassphrase }, { now: Date.now(), lifetimeS: 86_400 }),
  )
  return opened
}

/** A certificate, and the row of it under its backend (made when there is none, with the host of its name if there is one). */
export async function certify(
  fleet: Pick<FleetDatabase, 'sql'>,
  backendId: string,
  options: { readonly lifetimeS?: number; readonly now?: number; readonly authority?: Authority } = {},
): Promise<ClientCertificate> {
  const { now = Date.now(), authority = await testAuthority(), ...lifetime } = options
  const { privateKeyPem, csrPem } = keyPairAndCsr()
  const request = { csr: csrPem, backendId, fleetId: testFleetId, now, ...lifetime }
  const issued = await authority.issueForHost(request)
  await fleet.sql(
    `insert into fleet.backends (id, name, host_id, launch_id)
      select $1, $1, h.id, coalesce(h.launch_id, 'launch-of-' || h.id) from (select 1) one left join fleet.hosts h on h.id = $1
      on conflict do nothing`,
    [backendId],
  )
  await fleet.sql(
    `insert into fleet.certificates (serial, backend_id, spki_hash, issuer, pem, not_before, not_after)
      values ($1, $2, $3, $4, $5, to_timestamp($6 / 1000.0), to_timestamp($7 / 1000.0))`,
    [issued.serial, backendId, issued.spkiHash, issued.issuer, issued.pem, issued.notBefore, issued.notAfter],
  )
  return {
    backendId,
    serial: issued.serial,
    key: privateKeyPem,
    certificate: issued.pem,
    ca: authority.trusted.join(''),
  }
}
