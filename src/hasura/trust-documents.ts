/** What the daemon asks of backends, certificates and the audit; `make check` holds them against the schema. */
import { trustColumns as columns } from './trust-rows.ts'

/**
 * The clock is the database's, as in its functions. A variable, never a literal: an engine keeps a literal's statement
 * prepared, with the moment at which it was.
 */
export const now = { now: 'now' } as const

const live = `revoked_at: {_is_null: true}, not_after: {_gt: $now},
  _and: [{_or: [{retires_at: {_is_null: true}}, {retires_at: {_gt: $now}}]}],
  backend: {status: {_in: ["ENABLED", "TERMINATING"]}}`

export const trustDocuments = {
  allowed: `query ($now: timestamptz!) {
    certificates: fleet_certificates(where: {${live}}) { ${columns.allowed} }
  }`,
  allowedOf: `query ($now: timestamptz!, $serials: [String!]!, $backends: [String!]!) {
    certificates: fleet_certificates(where: {${live}, _or: [{serial: {_in: $serials}}, {backend_id: {_in: $backends}}]}) {
      ${columns.allowed}
    }
  }`,
  revoked: `query ($now: timestamptz!) {
    certificates: fleet_certificates(where: {revoked_at: {_is_null: false}, not_after: {_gt: $now}}, order_by: {serial: asc}) {
      serial revoked_at revoke_reason
    }
  }`,
  backends: `query ($where: fleet_backends_bool_exp!, $limit: Int!, $offset: Int!) {
    backends: fleet_backends(where: $where, order_by: [{created_at: desc}, {id: asc}], limit: $limit, offset: $offset) {
      ${columns.backends}
    }
    total: fleet_backends_aggregate(where: $where) { aggregate { count } }
  }`,
  backend: `query ($id: String!) {
    backend: fleet_backends_by_pk(id: $id) {
      ${columns.backends} certificates(order_by: [{created_at: desc}, {serial: asc}]) { ${columns.certificates} }
    }
  }`,
  backendInfo: 'query ($id: String!) { backend: fleet_backends_by_pk(id: $id) { info } }',
  audit: `query ($where: fleet_audit_bool_exp!, $limit: Int!) {
    audit: fleet_audit(where: $where, order_by: {id: desc}, limit: $limit) { ${columns.audit} }
  }`,
} as const

/** What is read of the rows that each of trust's functions gives (migration `trust_functions`). */
export const trustFunctionColumns = {
  create_token: 'expires_at',
  redeem_token: columns.backends,
  store_certificate: columns.certificates,
  connect_backend: columns.backends,
  disconnect_backends: 'id',
  flush_backends: 'id',
  report_info: 'id',
  create_backend: columns.backends,
  update_backend: columns.backends,
  revoke_certificate: columns.certificates,
  terminate_backend: columns.backends,
  enable_backend: columns.backends,
  delete_backend: 'id',
} as const
