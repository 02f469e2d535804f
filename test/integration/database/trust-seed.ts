/** Backends, certificates and tokens for the tests of what the database guards. */
import { createHash } from 'node:crypto'

import type { FleetDatabase, Row } from '../../support/fleet-database.ts'
import { call } from './defence.ts'

export const region = 'local/demo'
export const launch = 'local/demo:1.0'

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
/** 32 hex characters that depend on nothing but the name. */
export const serialOf = (name: string): string => sha256(name).slice(0, 32)

/** A region and the lease. */
export async function seedFleet(
  fleet: FleetDatabase,
  columns: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  await fleet.seedRegion(region, columns)
  await fleet.takeLease()
}

/** Opens so many connections: what is to meet must not wait for them. */
export async function warm(fleet: FleetDatabase, connections: number): Promise<void> {
  await Promise.all(Array.from({ length: connections }, () => fleet.sql('select pg_sleep(0.1)')))
}

/** Hosts `h1`… of a launch, LAUNCHING, and its token `t1` for `uses` of them. */
export async function seedLaunch(fleet: FleetDatabase, hosts: number, uses = hosts): Promise<void> {
  await seedFleet(fleet)
  const names = Array.from({ length: hosts }, (_, number) => `h${number + 1}`)
  await fleet.seedHosts(names, { status: 'LAUNCHING', launch_id: launch, address: null })
  await call(fleet.pool, 'store_launch_token', [launch, 't1', sha256('t1'), uses, 900, 1])
}

export interface Redeemed {
  readonly token?: string
  readonly key?: string
  readonly secret?: string
  readonly fence?: number
}

/** Redeem a token, whose secret is its id. */
export const redeem = (
  fleet: FleetDatabase,
  machine: string,
  { token = 't1', key = `key of ${machine}`, secret, fence = 1 }: Redeemed = {},
): Promise<readonly Row[]> =>
  call(fleet.pool, 'redeem_token', [token, sha256(secret ?? token), sha256(key), machine, '10.0.0.1', fence])

/** A backend that was made by hand; gives its id. */
export async function byHand(fleet: FleetDatabase, regionId: string | null = null): Promise<string> {
  const wish = { name: 'by hand', description: '', address: '', region_id: regionId }
  return (await call(fleet.pool, 'create_backend', [wish, 'anna']))[0]!['id'] as string
}

export interface Wanted {
  readonly key?: string
  readonly renews?: string | null
  readonly seconds?: number
  readonly keyMadeHere?: boolean
}

/** A certificate under a backend, named `name`. */
export const issue = (
  fleet: FleetDatabase,
  backend: string,
  name: string,
  { key = `key of ${name}`, renews = null, seconds = 3600, keyMadeHere }: Wanted = {},
): Promise<readonly Row[]> => {
  const certificate = {
    serial: serialOf(name),
    spki_hash: sha256(key),
    issuer: 'issuer',
    pem: `PEM of ${name}`,
    not_before: new Date(Date.now() - 7200_000).toISOString(),
    not_after: new Date(Date.now() + seconds * 1000).toISOString(),
    key_made_here: keyMadeHere,
  }
  const args = [backend, certificate, renews === null ? null : serialOf(renews), 'manager']
  return call(fleet.pool, 'store_certificate', args)
}

/** A stream opens with the certificate named so. */
export const open = (fleet: FleetDatabase, name: string, fence = 1): Promise<readonly Row[]> =>
  call(fleet.pool, 'connect_backend', [serialOf(name), '10.0.0.2', 2, fence])

/** A launched backend `h1` that is connected with certificate `c1`, on an ACTIVE host with two free agents. */
export async function seedConnected(fleet: FleetDatabase): Promise<void> {
  await seedLaunch(fleet, 1)
  await redeem(fleet, 'm1')
  await issue(fleet, 'h1', 'c1', { key: 'key of m1' })
  await open(fleet, 'c1')
  await fleet.seedAgents('h1', 2)
}

export async function backend(fleet: FleetDatabase, id: string): Promise<Row> {
  return (await fleet.sql('select * from fleet.backends where id = $1', [id]))[0]!
}

export async function hosts(fleet: FleetDatabase): Promise<readonly Row[]> {
  return fleet.sql('select id, status, cloud_id, address, capacity, launch_id from fleet.hosts order by id')
}

/** Acts on record, oldest first. */
export async function acts(fleet: FleetDatabase): Promise<readonly unknown[]> {
  return (await fleet.sql('select act from fleet.audit order by id')).map((row): unknown => row['act'])
}

/** Why each certificate was revoked, by name; of those that are live, null. */
export async function reasons(fleet: FleetDatabase): Promise<Readonly<Record<string, unknown>>> {
  const rows = await fleet.sql('select pem, revoke_reason from fleet.certificates order by pem')
  return Object.fromEntries(rows.map((row) => [(row['pem'] as string).slice(7), row['revoke_reason']]))
}

/** Set what a certificate's life depends on back by some minutes. */
export async function minutesPass(fleet: FleetDatabase, minutes: number): Promise<void> {
  const earlier = (column: string) => `${column} = ${column} - make_interval(secs => ${minutes * 60})`
  await fleet.sql('alter table fleet.certificates disable trigger guard')
  await fleet.sql(
    `update fleet.certificates set ${['created_at', 'not_before', 'not_after', 'retires_at'].map(earlier).join(', ')}`,
  )
  await fleet.sql('alter table fleet.certificates enable trigger guard')
  await fleet.sql(`update fleet.backends set ${earlier('enrolled_at')}`)
  await fleet.sql(`update fleet.enrolment_tokens set ${earlier('expires_at')}, ${earlier('alarmed_at')}`)
}

export const terminate = (fleet: FleetDatabase, id: string, agents: 'kill' | 'drain', reason = 'user') =>
  call(fleet.pool, 'terminate_backend', [id, reason, agents, 'anna'])
export const enable = (fleet: FleetDatabase, id: string) => call(fleet.pool, 'enable_backend', [id, 'anna'])
export const remove = (fleet: FleetDatabase, id: string, force: boolean) =>
  call(fleet.pool, 'delete_backend', [id, force, 'anna'])
export const endHost = (fleet: FleetDatabase, id: string) => call(fleet.pool, 'end_host', [id, 1, 'gone'])

/** A backend by hand with a host in the region and two free agents, connected with certificate `c1`. */
export async function seedStatic(fleet: FleetDatabase): Promise<{ id: string; host: string }> {
  await seedFleet(fleet)
  const id = await byHand(fleet, region)
  await issue(fleet, id, 'c1')
  const host = (await open(fleet, 'c1'))[0]!['host_id'] as string
  await fleet.seedAgents(host, 2)
  return { id, host }
}
