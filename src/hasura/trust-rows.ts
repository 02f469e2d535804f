/** Rows of trust, parsed into the model. */
import { z } from 'zod'

import type { Backend, Certificate } from '../model/backend.ts'
import { backendStatuses, revokeReasons, terminateReasons } from '../model/backend.ts'
import type { AllowedRow, AuditEntry } from '../store/trust-store.ts'
import { time } from './rows.ts'

export const trustColumns = {
  backends: `id name description address status reason launch_id region_id host_id connected_at connected_serial
    last_seen_at info_at created_at revision`,
  certificates: `serial backend_id spki_hash issuer pem not_before not_after first_used_at retires_at revoked_at
    revoke_reason created_at`,
  allowed: 'serial backend_id not_after retires_at',
  audit: 'at actor act backend_id serial details',
} as const

export const backendRow = z
  .object({
    id: z.string(),
    name: z.string(),
    description: z.string(),
    address: z.string(),
    status: z.enum(backendStatuses),
    reason: z.enum(terminateReasons).nullable(),
    launch_id: z.string().nullable(),
    region_id: z.string().nullable(),
    host_id: z.string().nullable(),
    connected_at: time.nullable(),
    connected_serial: z.string().nullable(),
    last_seen_at: time.nullable(),
    info_at: time.nullable(),
    created_at: time,
    revision: z.number(),
  })
  .transform((row): Backend => ({
    id: row.id,
    name: row.name,
    description: row.description,
    address: row.address,
    status: row.status,
    reason: row.reason,
    launchId: row.launch_id,
    regionId: row.region_id,
    hostId: row.host_id,
    connectedAt: row.connected_at,
    connectedSerial: row.connected_serial,
    lastSeenAt: row.last_seen_at,
    infoAt: row.info_at,
    createdAt: row.created_at,
    revision: row.revision,
  }))

export const certificateRow = z
  .object({
    serial: z.string(),
    backend_id: z.string().nullable(),
    spki_hash: z.string(),
    issuer: z.string(),
    pem: z.string(),
    not_before: time,
    not_after: time,
    first_used_at: time.nullable(),
    retires_at: time.nullable(),
    revoked_at: time.nullable(),
    revoke_reason: z.enum(revokeReasons).nullable(),
    created_at: time,
  })
  .transform((row): Certificate => ({
    serial: row.serial,
    backendId: row.backend_id,
    spkiHash: row.spki_hash,
    issuer: row.issuer,
    pem: row.pem,
    notBefore: row.not_before,
    notAfter: row.not_after,
    firstUsedAt: row.first_used_at,
    retiresAt: row.retires_at,
    revokedAt: row.revoked_at,
    revokeReason: row.revoke_reason,
    createdAt: row.created_at,
  }))

export const allowedRow = z
  .object({ serial: z.string(), backend_id: z.string(), not_after: time, retires_at: time.nullable() })
  .transform((row): AllowedRow => ({
    serial: row.serial,
    backendId: row.backend_id,
    notAfter: row.not_after,
    retiresAt: row.retires_at,
  }))

export const revokedRow = z
  .object({ serial: z.string(), revoked_at: time, revoke_reason: z.string() })
  .transform((row) => ({ serial: row.serial, revokedAt: row.revoked_at, reason: row.revoke_reason }))

export const auditRow = z
  .object({
    at: time,
    actor: z.string(),
    act: z.string(),
    backend_id: z.string().nullable(),
    serial: z.string().nullable(),
    details: z.record(z.string(), z.unknown()),
  })
  .transform(({ backend_id: backendId, ...row }): AuditEntry => ({ ...row, backendId }))

/** A bytea as PostgreSQL prints it: `\x` and two hex characters a byte. */
export const bytes = z
  .string()
  .regex(/^\\x(?:[0-9a-f]{2})*$/)
  .transform((text) => Buffer.from(text.slice(2), 'hex'))
