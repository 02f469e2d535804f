/** The TrustStore over Hasura's API. */
import { z } from 'zod'

import { MusterError } from '../model/errors.ts'
import type { TrustStore } from '../store/trust-store.ts'
import { callFunction, parse, timeText } from './call-function.ts'
import type { HasuraClient } from './client.ts'
import { documents } from './documents.ts'
import { hostRow, time } from './rows.ts'
import { now, trustDocuments } from './trust-documents.ts'
import { allowedRow, auditRow, backendRow, bytes, certificateRow, revokedRow } from './trust-rows.ts'

const id = z.object({ id: z.string() })
const expiry = z.object({ expires_at: time })
const someAllowed = z.object({ certificates: z.array(allowedRow) })
const someRevoked = z.object({ certificates: z.array(revokedRow) })
const someBackends = z.object({
  backends: z.array(backendRow),
  total: z.object({ aggregate: z.object({ count: z.number() }) }),
})
const oneBackend = z.object({ backend: z.unknown() })
const itsCertificates = z.object({ certificates: z.array(certificateRow) })
const oneInfo = z.object({ backend: z.object({ info: bytes.nullable() }).nullable() })
const someAudit = z.object({ audit: z.array(auditRow) })
const oneHost = z.object({ host: hostRow.nullable() })

/** What `store_certificate` says of a renewal that comes too soon; no other refusal says it. */
const tooSoonWords = 'its certificate was renewed less than a minute ago'
const tooSoon = `this backend: ${tooSoonWords}: try again in a minute`
const isTooSoon = (error: unknown): boolean =>
  error instanceof MusterError && error.code === 'database-refused' && error.message.includes(tooSoonWords)

type Admission = Pick<
  TrustStore,
  'readAllowed' | 'readAllowedOf' | 'readRevoked' | 'createToken' | 'redeemToken' | 'storeCertificate'
>
type Connections = Pick<
  TrustStore,
  'connectBackend' | 'disconnectBackends' | 'flushBackends' | 'reportInfo' | 'readInfo'
>
type Wishes = Omit<TrustStore, keyof Admission | keyof Connections>

export function createHasuraTrustStore(client: HasuraClient): TrustStore {
  return { ...createAdmission(client), ...createConnections(client), ...createWishes(client) }
}

/** Who may come in: the allow-list, tokens, certificates. */
function createAdmission(client: HasuraClient): Admission {
  return {
    readAllowed: async () =>
      parse(someAllowed, await client.request(trustDocuments.allowed, now), 'fleet_certificates')
        .certificates,
    readAllowedOf: async ({ serials, backendIds }) => {
      if (serials.length === 0 && backendIds.length === 0) return []
      const answer = await client.request(trustDocuments.allowedOf, { ...now, serials, backends: backendIds })
      return parse(someAllowed, answer, 'fleet_certificates').certificates
    },
    readRevoked: async () =>
      parse(someRevoked, await client.request(trustDocuments.revoked, now), 'fleet_certificates')
        .certificates,

    createToken: async (backendId, token, actor) => {
      const args = {
        backend_id: backendId,
        token_id: token.id,
        secret_hash: token.secretHash,
        lifetime_s: token.lifetimeS,
        actor,
      }
      const [row] = await callFunction(client, 'create_token', args, expiry)
      return row && { expiresAt: row.expires_at }
    },
    redeemToken: async (redemption, fence) => {
      const args = {
        token_id: redemption.tokenId,
        secret_hash: redemption.secretHash,
        spki_hash: redemption.spkiHash,
        cloud_id: redemption.cloudId,
        address: redemption.address,
        fence,
      }
      return (await callFunction(client, 'redeem_token', args, backendRow))[0]
    },
    storeCertificate: async (backendId, certificate, { renews, actor }) => {
      const row = {
        serial: certificate.serial,
        spki_hash: certificate.spkiHash,
        issuer: certificate.issuer,
        pem: certificate.pem,
        not_before: timeText(certificate.notBefore),
        not_after: timeText(certificate.notAfter),
        key_made_here: certificate.keyMadeHere ?? false,
      }
      const args = { backend_id: backendId, certificate: row, renews, actor }
      try {
        return (await callFunction(client, 'store_certificate', args, certificateRow))[0]
      } catch (error) {
        throw isTooSoon(error)
          ? new MusterError('rate-limited', tooSoon, { cause: error, retryable: true })
          : error
      }
    },
  }
}

/** What managers' streams cause. */
function createConnections(client: HasuraClient): Connections {
  return {
    connectBackend: async (serial, { address, capacity }, fence) => {
      const args = { serial, address, capacity, fence }
      const [backend] = await callFunction(client, 'connect_backend', args, backendRow)
      if (backend === undefined) return undefined
      if (backend.hostId === null) return { backend, host: undefined }
      // Not read through the function's rows: within its statement, what the function wrote is not seen.
      const answer = await client.request(documents.host, { id: backend.hostId })
      const { host } = parse(oneHost, answer, 'a host')
      return { backend, host: host === null || host.status === 'TERMINATED' ? undefined : host }
    },
    disconnectBackends: async (backendIds, fence) => {
      if (backendIds?.length === 0) return
      await callFunction(client, 'disconnect_backends', { backend_ids: backendIds ?? null, fence }, id)
    },
    flushBackends: async (beats, fence) => {
      if (beats.size === 0) return
      const byBackend = Object.fromEntries([...beats].map(([backendId, at]) => [backendId, timeText(at)]))
      await callFunction(client, 'flush_backends', { beats: byBackend, fence }, id)
    },
    reportInfo: async (backendId, info, fence) => {
      const args = { backend_id: backendId, info: info.toString('hex'), fence }
      return (await callFunction(client, 'report_info', args, id)).length > 0
    },
    readInfo: async (backendId) => {
      const answer = await client.request(trustDocuments.backendInfo, { id: backendId })
      return parse(oneInfo, answer, 'fleet_backends').backend?.info ?? undefined
    },
  }
}

/** What people do with backends and certificates. */
function createWishes(client: HasuraClient): Wishes {
  return {
    createBackend: async (backend, actor) => {
      const { regionId, ...rest } = backend
      const args = { backend: { ...rest, region_id: regionId }, actor }
      const [row] = await callFunction(client, 'create_backend', args, backendRow)
      if (row === undefined)
        throw new MusterError('database-refused', 'create_backend answered without a row')
      return row
    },
    updateBackend: async (backendId, { name, description, address }, actor) => {
      const args = { id: backendId, changes: { name, description, address }, actor }
      return (await callFunction(client, 'update_backend', args, backendRow))[0]
    },
    listBackends: async ({ limit, offset, status, isConnected, name }) => {
      const where = {
        ...(status === undefined ? {} : { status: { _eq: status } }),
        ...(isConnected === undefined ? {} : { connected_at: { _is_null: !isConnected } }),
        ...(name === undefined ? {} : { name: { _ilike: `%${name.replace(/[\\%_]/g, '\\$&')}%` } }),
      }
      const answer = await client.request(trustDocuments.backends, { where, limit, offset })
      const { backends, total } = parse(someBackends, answer, 'fleet_backends')
      return { total: total.aggregate.count, backends }
    },
    readBackend: async (backendId) => {
      const answer = await client.request(trustDocuments.backend, { id: backendId })
      const { backend } = parse(oneBackend, answer, 'a backend')
      if (backend === null) return undefined
      const { certificates } = parse(itsCertificates, backend, 'its certificates')
      return { ...parse(backendRow, backend, 'a backend'), certificates }
    },
    revokeCertificate: async (serial, reason, actor) =>
      (await callFunction(client, 'revoke_certificate', { serial, reason, actor }, certificateRow))[0],
    terminateBackend: async (backendId, reason, agents, actor) => {
      const args = { id: backendId, reason, agents, actor }
      return (await callFunction(client, 'terminate_backend', args, backendRow))[0]
    },
    enableBackend: async (backendId, actor) =>
      (await callFunction(client, 'enable_backend', { id: backendId, actor }, backendRow))[0],
    deleteBackend: async (backendId, force, actor) =>
      (await callFunction(client, 'delete_backend', { id: backendId, force, actor }, id))[0],
    readAudit: async ({ backendId, limit }) => {
      const where = backendId === undefined ? {} : { backend_id: { _eq: backendId } }
      const answer = await client.request(trustDocuments.audit, { where, limit })
      return parse(someAudit, answer, 'fleet_audit').audit
    },
  }
}
