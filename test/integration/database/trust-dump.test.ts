/** What whoever reads the database learns: all of it, and nothing that opens a door. */
import { X509Certificate } from 'node:crypto'

import { unzipSync } from 'fflate'
import { expect, it } from 'vitest'

import { Backends } from '../../../src/backends/backends.ts'
import { createHasuraClient } from '../../../src/hasura/client.ts'
import { createHasuraStore } from '../../../src/hasura/hasura-store.ts'
import { createHasuraTrustStore } from '../../../src/hasura/trust-store.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { certify, enrol } from '../../../src/manager-link/enrolment.ts'
import { AllowList } from '../../../src/trust/allow-list.ts'
import { launchToken, parseToken } from '../../../src/trust/enrolment-token.ts'
import { keyPairAndCsr } from '../../../src/trust/new-key.ts'
import { caPassphrase } from '../../support/an-authority.ts'
import { adminSecret, anEndpoint } from '../../support/an-endpoint.ts'
import { dumpOf } from '../../support/dump.ts'
import { anAuthority } from '../../support/fake-trust.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'

const projectDir = new URL('../../../config/hasura', import.meta.url).pathname
const fleetKey = 'the key of the fleet, for the tests'

/** A secret in each way in which a column, a document or a bytea may show it. */
const shapesOf = (secret: Buffer): readonly string[] => [
  secret.toString('latin1'),
  secret.toString('hex'),
  secret.toString('base64').replace(/=+$/, ''),
  secret.toString('base64url'),
]

const secretOf = (token: string): string => token.slice(-43)
/** The lines of a PEM that no other key has. */
const keyLines = (pem: string): readonly string[] => pem.split('\n').slice(1, -2)
const derOf = (pem: string): Buffer => Buffer.from(keyLines(pem).join(''), 'base64')

describeOnPostgres('a dump of the database', () => {
  it('has no secret of a token, no private key and no secret of the daemon, after all that makes them', async () => {
    const fleet = await anEndpoint('postgres', { projectDir })
    try {
      const client = createHasuraClient({ url: fleet.endpoint.url, adminSecret })
      const store = createHasuraTrustStore(client)
      const launches = createHasuraStore(client, Date.now)
      const { fence } = (await launches.takeLease('daemon-1', 3600))!
      await client.request(`mutation {
        insert_fleet_regions_one(object: {id: "local/demo", provider: "local"}) { id }
        insert_fleet_images_one(object: {id: "i", region_id: "local/demo", image_id: "v1", version: "v1", status: "ACTIVE"}) { id }
        insert_fleet_hosts_one(object: {id: "h1", region_id: "local/demo", provider: "local", launch_id: "L1", image_id: "i"}) { id }
        insert_fleet_actions_one(object: {id: "L1", decision_id: "L1", region_id: "local/demo", kind: "launch"}) { id }
      }`)
      const authority = await anAuthority()
      const clock = { now: () => Date.now() }
      const options = {
        ...{ store, clock, authority: () => authority, allowList: new AllowList(clock), fence: () => fence },
        ...{ fleetId: () => 'fleet-1', logger: silentLogger, fault: () => undefined },
        rightsChanged: () => Promise.resolve(),
      }
      const backends = new Backends({
        ...{ store, authority, clock: options.clock as never, fleetId: () => 'fleet-1', daemons: () => [] },
        connections: {
          rightsChanged: () => Promise.resolve(),
          rightsTaken: () => undefined,
          terminating: () => undefined,
          lastHeard: () => undefined,
          askInfo: () => Promise.resolve(),
        },
      })

      // A launch, whose manager enrols and renews.
      const ofLaunch = launchToken(fleetKey, 'L1', 1)
      const { id, secretHash } = parseToken(ofLaunch)!
      const offering = { instanceType: 'small', zone: '', lifecycle: 'on-demand', agents: 2 } as const
      await launches.beginCall('L1', fence, offering, {}, { id, secretHash, lifetimeS: 900, uses: 1 })
      const keys = [keyPairAndCsr(), keyPairAndCsr(), keyPairAndCsr()] as const
      const asked = { token: ofLaunch, cloudId: 'm1', address: '10.0.0.1', csr: keys[0].csrPem }
      const enrolled = await enrol(options, asked)
      if (typeof enrolled !== 'object' || !('certificate' in enrolled)) throw new Error('not enrolled')
      const renews = new X509Certificate(enrolled.certificate).serialNumber.toLowerCase().padStart(32, '0')
      const renewal = { csr: keys[1].csrPem, backendId: 'h1', renews, actor: 'backend:h1' }
      expect(await certify(options, renewal)).toBeDefined()
      // A thief is put on record.
      expect(await enrol(options, { ...asked, csr: keyPairAndCsr().csrPem })).not.toHaveProperty(
        'certificate',
      )
      // A backend by hand: a token, and a key that is made here.
      const byHand = await backends.create(
        { name: 'rack 7', description: '', address: '', regionId: null },
        'anna',
      )
      const { token } = await backends.createToken(byHand.id, 900, 'anna')
      const joined = { token, cloudId: '', address: '10.0.0.2', csr: keys[2].csrPem }
      expect(await enrol(options, joined)).toMatchObject({ backendId: byHand.id })
      const { certificate, download } = await backends.issue(byHand.id, { csr: undefined, actor: 'anna' })
      const files = unzipSync(backends.takeDownload(certificate.serial, download?.token ?? ''))
      const made = Buffer.from(files['key.pem'] ?? []).toString()

      if (fleet.database.kind !== 'postgres') throw new Error('a dump is of PostgreSQL')
      const dump = await dumpOf(fleet.database.url)
      // It sees what there is: the tokens' ids and hashes, the certificates, the acts.
      const seen = [id, secretHash, parseToken(token)!.secretHash, renews, certificate.serial]
      for (const text of [...seen, certificate.pem.trimEnd(), 'certificate-issued', 'token-reused'])
        expect(dump).toContain(text)
      const privates = [...keys.map((key) => key.privateKeyPem), made]
      const scalars = privates.map((pem) => derOf(pem).subarray(36, 68))
      const secrets = [
        ...[ofLaunch, token].flatMap((text) => [
          ...shapesOf(Buffer.from(secretOf(text), 'base64url')),
          ...shapesOf(Buffer.from(secretOf(text))),
        ]),
        ...scalars.flatMap(shapesOf),
        ...privates.flatMap(keyLines),
        ...[adminSecret, fleetKey, caPassphrase, download?.token ?? ''].flatMap((text) =>
          shapesOf(Buffer.from(text)),
        ),
      ]
      for (const text of secrets) expect(text.length).toBeGreaterThan(15)
      expect(secrets.filter((text) => dump.includes(text))).toEqual([])
      expect(dump).not.toMatch(/PRIVATE KEY|mse1_/)
    } finally {
      await fleet.close()
    }
  })
})
