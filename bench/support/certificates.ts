/** Certificates for the managers of seeded hosts. */
import { openAuthority } from '../../src/trust/open-authority.ts'
import { keyPairAndCsr } from '../../src/trust/new-key.ts'
import { authorityFiles, caPassphrase } from '../../test/support/an-authority.ts'
import type { BenchDatabase } from './database.ts'

/** PEM throughout. */
export interface ManagerIdentity {
  readonly backendId: string
  readonly serial: string
  readonly key: string
  readonly certificate: string
}

export interface Identities {
  readonly fleetId: string
  readonly ca: string
  /** In the order of the ids. */
  readonly identities: readonly ManagerIdentity[]
}

/** A backend with a certificate for each id; it serves the host of its name, if there is one. */
export async function certifyManagers(
  database: BenchDatabase,
  backendIds: readonly string[],
): Promise<Identities> {
  const files = await authorityFiles()
  const now = Date.now()
  const authority = openAuthority({ ...files, passphrase: caPassphrase }, { now, lifetimeS: 86_400 })
  const [settings] = await database.sql('select fleet_id from fleet.settings')
  const fleetId = String(settings?.['fleet_id'])
  await database.sql(
    `insert into fleet.backends (id, name, host_id, launch_id)
     select one, one, h.id, case when h.id is not null then 'launch-of-' || h.id end
     from unnest($1::text[]) one left join fleet.hosts h on h.id = one`,
    [backendIds],
  )
  const identities: ManagerIdentity[] = []
  for (let start = 0; start < backendIds.length; start += 500) {
    const issued = await Promise.all(
      backendIds.slice(start, start + 500).map(async (backendId) => {
        const { privateKeyPem: key, csrPem: csr } = keyPairAndCsr()
        // Its name is not looked at, and a region's name has a slash.
        const named = backendId.replaceAll('/', '.')
        return { backendId, key, ...(await authority.issueForHost({ csr, fleetId, backendId: named, now })) }
      }),
    )
    const rows = issued.map((one) => ({
      ...{ serial: one.serial, backend_id: one.backendId, spki_hash: one.spkiHash },
      ...{ issuer: one.issuer, pem: one.pem, not_after: new Date(one.notAfter).toISOString() },
    }))
    await database.sql(
      `insert into fleet.certificates (serial, backend_id, spki_hash, issuer, pem, not_before, not_after)
       select r.serial, r.backend_id, r.spki_hash, r.issuer, r.pem, now(), r.not_after
       from jsonb_to_recordset($1::jsonb)
         as r (serial text, backend_id text, spki_hash text, issuer text, pem text, not_after timestamptz)`,
      [JSON.stringify(rows)],
    )
    for (const { backendId, serial, key, pem: certificate } of issued) {
      identities.push({ backendId, serial, key, certificate })
    }
  }
  return { fleetId, ca: authority.trusted.join(''), identities }
}
