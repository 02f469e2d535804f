/**
 * Every document that the daemon sends, in one place (those of trust in trust-documents.ts): `make check` holds each
 * against the schema that the project's migrations and metadata give (config/hasura/schema.graphql).
 */
import type { Rows } from '../store/fleet-store.ts'
import { columns } from './rows.ts'
import { trustFunctionColumns } from './trust-documents.ts'

/** Of the changes' stream: a batch of this size may not be the last. */
export const streamBatchSize = 1000
const changeFields = 'sequence table_name row_id region_id'

export const documents = {
  settings: 'query { fleet_settings { fleet_id schema_version } }',
  isSeeded: 'query { fleet_settings { seeded } }',
  // One request is one transaction: a crash leaves the database unseeded, not half seeded.
  seed: `mutation ($regions: [fleet_regions_insert_input!]!, $images: [fleet_images_insert_input!]!) {
    insert_fleet_regions(objects: $regions, on_conflict: {constraint: regions_pkey, update_columns: []}) { affected_rows }
    insert_fleet_images(objects: $images, on_conflict: {constraint: images_pkey, update_columns: []}) { affected_rows }
    update_fleet_settings(where: {}, _set: {seeded: true}) { affected_rows }
  }`,

  latestChange: `query { changes: fleet_changes(order_by: {sequence: desc}, limit: 1) { ${changeFields} } }`,
  changesByKey: `query ($sequences: [bigint!]!) {
    changes: fleet_changes(where: {sequence: {_in: $sequences}}, order_by: {sequence: asc}) { ${changeFields} }
  }`,
  changes: `subscription ($after: bigint!) {
    changes: fleet_changes_stream(batch_size: ${streamBatchSize}, cursor: [{initial_value: {sequence: $after}, ordering: ASC}]) { ${changeFields} }
  }`,

  regionIds: 'query { fleet_regions(order_by: {id: asc}) { id } }',
  regions: `query { regions: fleet_regions(order_by: {id: asc}) { ${columns.regions} } }`,
  region: `query ($region: String!) {
    regions: fleet_regions(where: {id: {_eq: $region}}) { ${columns.regions} }
    images: fleet_images(where: {region_id: {_eq: $region}, _or: [{status: {_neq: "RETIRED"}}, {hosts: {status: {_neq: "TERMINATED"}}}, {rollouts_from: {state: {_nin: ["DONE", "ROLLED_BACK"]}}}]}, order_by: {id: asc}) { ${columns.images} }
    hosts: fleet_hosts(where: {region_id: {_eq: $region}, status: {_neq: "TERMINATED"}}, order_by: {id: asc}) { ${columns.hosts} }
    agents: fleet_agents(where: {region_id: {_eq: $region}}, order_by: {id: asc}) { ${columns.agents} }
    blocked_offerings: fleet_blocked_offerings(where: {region_id: {_eq: $region}}, order_by: {id: asc}) { ${columns.blocked_offerings} }
    rollouts: fleet_rollouts(where: {region_id: {_eq: $region}, state: {_nin: ["DONE", "ROLLED_BACK"]}}, order_by: {id: asc}) { ${columns.rollouts} }
    versions: fleet_versions(order_by: {id: asc}) { ${columns.versions} }
  }`,
  hosts: `query ($not: [String!]!) {
    hosts: fleet_hosts(where: {status: {_nin: $not}}, order_by: [{region_id: asc}, {id: asc}]) { ${columns.hosts} }
  }`,
  host: `query ($id: String!) {
    host: fleet_hosts_by_pk(id: $id) { ${columns.hosts} agents(order_by: {id: asc}) { ${columns.agents} } }
  }`,
  decisions: `query ($where: fleet_decisions_bool_exp!, $limit: Int!) {
    decisions: fleet_decisions(where: $where, order_by: [{updated_at: desc}, {turn: desc}, {place: desc}], limit: $limit) {
      ${columns.decisions}
    }
  }`,
  rollouts: `query ($where: fleet_rollouts_bool_exp!, $limit: Int!) {
    rollouts: fleet_rollouts(where: $where, order_by: [{created_at: desc}, {id: asc}], limit: $limit) { ${columns.rollouts} }
  }`,
  imagesOfRegion: `query ($region: String!) {
    images: fleet_images(where: {region_id: {_eq: $region}}, order_by: {id: asc}) { ${columns.images} }
  }`,
  // Of the hosts, those whose first connection has come, or never will.
  rolloutHealth: `query ($rollout: String!, $image: String!, $hosts: Int!) {
    candidate: fleet_assignments_aggregate(where: {rollout_id: {_eq: $rollout}, arm: {_eq: "candidate"}, _or: [{running_at: {_is_null: false}}, {failure: {_is_null: false}}]}) { aggregate { count } }
    candidateFailed: fleet_assignments_aggregate(where: {rollout_id: {_eq: $rollout}, arm: {_eq: "candidate"}, failure: {_is_null: false}}) { aggregate { count } }
    control: fleet_assignments_aggregate(where: {rollout_id: {_eq: $rollout}, arm: {_eq: "control"}, _or: [{running_at: {_is_null: false}}, {failure: {_is_null: false}}]}) { aggregate { count } }
    controlFailed: fleet_assignments_aggregate(where: {rollout_id: {_eq: $rollout}, arm: {_eq: "control"}, failure: {_is_null: false}}) { aggregate { count } }
    hosts: fleet_hosts(where: {image_id: {_eq: $image}, _or: [{heartbeat_at: {_is_null: false}}, {status: {_in: ["TERMINATING", "TERMINATED"]}, cloud_id: {_is_null: false}}]},
      order_by: [{created_at: desc}, {id: desc}], limit: $hosts) { heartbeat_at }
  }`,
  openActions: `query {
    actions: fleet_actions(where: {status: {_in: ["QUEUED", "RUNNING"]}}, order_by: {id: asc}) { ${columns.actions} }
  }`,
  sweepActions: `query ($region: String!) {
    actions: fleet_actions(where: {region_id: {_eq: $region}, status: {_in: ["QUEUED", "RUNNING"]}}, order_by: {id: asc}) { id kind target }
  }`,
  sweepHosts: `query ($region: String!, $after: String!, $limit: Int!) {
    hosts: fleet_hosts(where: {region_id: {_eq: $region}, status: {_neq: "TERMINATED"}, id: {_gt: $after}},
      order_by: {id: asc}, limit: $limit) { id cloud_id launch_id status created_at }
  }`,
  sweepNames: `query ($cloudIds: [String!]!) {
    hosts: fleet_hosts(where: {cloud_id: {_in: $cloudIds}}, order_by: {id: asc}) { id cloud_id status }
  }`,
  sweepLaunches: `query ($launchIds: [String!]!) {
    hosts: fleet_hosts(where: {launch_id: {_in: $launchIds}}, distinct_on: launch_id, order_by: {launch_id: asc}) { launch_id }
  }`,
  oldestHost: 'query { hosts: fleet_hosts(order_by: {created_at: asc}, limit: 1) { created_at } }',
  sessions: `query ($user: String!, $live: [String!]!) {
    agents: fleet_agents(where: {user_id: {_eq: $user}, status: {_in: $live}}, order_by: {id: asc}) {
      id host_id region_id session_id port status host { address interruption_at }
    }
  }`,

  beginAttempt: `mutation ($id: String!, $now: timestamptz!) {
    update_fleet_actions(where: {id: {_eq: $id}, status: {_in: ["QUEUED", "RUNNING"]}},
      _set: {status: "RUNNING", started_at: $now, next_attempt_at: null}, _inc: {attempts: 1}) { returning { attempts } }
  }`,
  updateOpenAction: `mutation ($id: String!, $set: fleet_actions_set_input!) {
    update_fleet_actions(where: {id: {_eq: $id}, status: {_in: ["QUEUED", "RUNNING"]}}, _set: $set) { affected_rows }
  }`,
  insertLog: `mutation ($line: fleet_action_logs_insert_input!) {
    insert_fleet_action_logs_one(object: $line, on_conflict: {constraint: action_logs_pkey, update_columns: []}) { sequence }
  }`,
  drainHost: `mutation ($id: String!, $reason: String!) {
    update_fleet_hosts(where: {id: {_eq: $id}, status: {_in: ["LAUNCHING", "PRE_CONNECTION", "ACTIVE", "UNRESPONSIVE"]}},
      _set: {status: "DRAINING", reason: $reason}) { affected_rows }
  }`,
  // A miss with a key is one row, however often it is tried; a served request is never overwritten.
  recordMiss: `mutation ($miss: fleet_assignments_insert_input!) {
    insert_fleet_assignments_one(object: $miss, on_conflict: {constraint: assignments_idempotency,
      update_columns: [outcome, region_id, demand_region_id, version, updated_at], where: {outcome: {_neq: "assigned"}}}) { id }
  }`,
  releaseSession: `mutation ($user: String!, $session: String!, $live: [String!]!) {
    update_fleet_agents(where: {user_id: {_eq: $user}, session_id: {_eq: $session}, status: {_in: $live}},
      _set: {status: "DYING"}) { returning { ${columns.agents} } }
  }`,
} as const

/** Rows of some tables by their ids; each table's ids are a variable of its name. */
export function rowsByKey(tables: readonly (keyof Rows)[]): string {
  return `query (${tables.map((table) => `$${table}: [String!]!`).join(', ')}) {
    ${tables.map((table) => `${table}: fleet_${table}(where: {id: {_in: $${table}}}) { ${columns[table]} }`).join('\n')}
  }`
}

/** What is read of the rows that each of the fleet's guarded functions gives (migrations `functions`, `trust_functions`, `offerings`). */
const functionColumns = {
  take_lease: 'holder fence',
  release_lease: 'holder fence',
  commit_turn: columns.regions,
  begin_call: columns.actions,
  settle_call: 'id',
  refuse_call: columns.actions,
  confirm_sweep: 'id',
  finish_launch: 'id',
  store_discovery: columns.regions,
  bind_launch: columns.hosts,
  end_host: 'id',
  prune: 'id',
  register_host: columns.hosts,
  report_agents: columns.agents,
  report_interruption: columns.hosts,
  flush_heartbeats: 'id',
  claim_agent: columns.assignments,
  give_up_agent: 'id',
  switch_rollouts: columns.rollouts,
  start_rollouts: columns.images,
  steer_rollout: columns.rollouts,
  ...trustFunctionColumns,
} as const
export type FunctionName = keyof typeof functionColumns
export const functionNames = Object.keys(functionColumns) as readonly FunctionName[]

export const functionCall = (name: FunctionName): string =>
  `mutation ($args: fleet_${name}_args!) { rows: fleet_${name}(args: $args) { ${functionColumns[name]} } }`
