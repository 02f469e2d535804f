-- The fleet's tables. Each migration is append-only and safe to run twice: a fleet may move from the
-- embedded endpoint to the Hasura CLI, which keeps a list of its own of what has been applied.
create schema if not exists fleet;

-- One row: the identity of this fleet. Every launch, tag and certificate bears it.
create table if not exists fleet.settings (
  id text primary key default 'fleet' check (id = 'fleet'),
  fleet_id text not null default gen_random_uuid()::text,
  schema_version integer not null,
  -- Whether the regions of a seed file have been inserted once.
  seeded boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

-- Who is the active daemon. The fence grows with every change of holder; what an old holder still sends is refused.
create table if not exists fleet.leases (
  id text primary key default 'daemon' check (id = 'daemon'),
  holder text not null,
  fence integer not null default 1,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table if not exists fleet.regions (
  id text primary key check (id ~ '^[a-z0-9-]+/[A-Za-z0-9._-]+$'),
  provider text not null,
  enabled boolean not null default true,
  algorithm text not null default 'default',
  options jsonb not null default '{}' check (jsonb_typeof(options) = 'object'),
  deadlines jsonb not null default '{}' check (jsonb_typeof(deadlines) = 'object'),
  target_free_agents integer not null default 0 check (target_free_agents >= 0),
  min_hosts integer not null default 0 check (min_hosts >= 0),
  max_hosts integer not null default 10 check (max_hosts >= 0),
  max_surge_hosts integer not null default 0 check (max_surge_hosts >= 0),
  instance_types jsonb not null default '[]' check (jsonb_typeof(instance_types) = 'array'),
  agents_per_host integer not null default 1 check (agents_per_host between 1 and 1000),
  max_agents_per_user integer not null default 1 check (max_agents_per_user between 1 and 1000),
  channel text not null default 'default',
  turn integer not null default 0,
  launch_failures integer not null default 0 check (launch_failures >= 0),
  launch_blocked_until timestamptz,
  launch_error_code text,
  launch_error text,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check (min_hosts <= max_hosts)
);

create table if not exists fleet.images (
  id text primary key default gen_random_uuid()::text,
  region_id text not null references fleet.regions (id),
  image_id text not null,
  version text not null,
  status text not null default 'CANDIDATE' check (status in ('CANDIDATE', 'ACTIVE', 'RETIRED')),
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index if not exists images_one_active on fleet.images (region_id) where status = 'ACTIVE';
create index if not exists images_region on fleet.images (region_id);

create table if not exists fleet.hosts (
  id text primary key,
  region_id text not null references fleet.regions (id),
  provider text not null,
  cloud_id text,
  launch_id text,
  image_id text references fleet.images (id),
  version text not null default '',
  instance_type text not null default '',
  address text,
  capacity integer not null default 1 check (capacity >= 0),
  status text not null default 'LAUNCHING' check (status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'DRAINING',
    'UNRESPONSIVE', 'TERMINATING', 'TERMINATED')),
  status_before text check (status_before in ('PRE_CONNECTION', 'ACTIVE', 'DRAINING')),
  status_since timestamptz not null default now(),
  protected boolean not null default false,
  reason text,
  heartbeat_at timestamptz,
  manager_key_hash text,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check ((status = 'UNRESPONSIVE') = (status_before is not null))
);
create unique index if not exists hosts_cloud_id on fleet.hosts (provider, cloud_id);
create index if not exists hosts_live on fleet.hosts (region_id, id) where status <> 'TERMINATED';
create index if not exists hosts_launch on fleet.hosts (launch_id);
create unique index if not exists hosts_manager_key on fleet.hosts (manager_key_hash);
create index if not exists hosts_ended on fleet.hosts (updated_at) where status = 'TERMINATED';

create table if not exists fleet.agents (
  id text primary key,
  host_id text not null references fleet.hosts (id) on delete cascade,
  region_id text not null references fleet.regions (id),
  app text not null default 'default',
  status text not null default 'WAITING' check (status in ('WAITING', 'ALLOCATED', 'CONNECTING', 'RUNNING', 'DYING')),
  user_id text,
  user_slot integer check (user_slot >= 1),
  session_id text,
  port integer check (port between 1 and 65535),
  status_since timestamptz not null default now(),
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint agents_live_has_user check (status not in ('ALLOCATED', 'CONNECTING', 'RUNNING')
    or (user_id is not null and user_slot is not null and region_id is not null and session_id is not null)),
  constraint agents_waiting_has_no_user check (status <> 'WAITING'
    or (user_id is null and user_slot is null and session_id is null))
);
-- The limit: one live agent for each slot of a user in a region, whoever writes.
create unique index if not exists agents_user_slot on fleet.agents (region_id, user_id, user_slot)
  where status in ('ALLOCATED', 'CONNECTING', 'RUNNING');
create unique index if not exists agents_user_session on fleet.agents (user_id, session_id)
  where status in ('ALLOCATED', 'CONNECTING', 'RUNNING');
create index if not exists agents_host on fleet.agents (host_id);
create index if not exists agents_free on fleet.agents (region_id, id) where status = 'WAITING';

create table if not exists fleet.assignments (
  id text primary key default gen_random_uuid()::text,
  user_id text not null,
  idempotency_key text,
  region_id text,
  demand_region_id text,
  version text,
  image_id text,
  host_id text,
  agent_id text,
  address text,
  port integer,
  session_id text,
  outcome text not null check (outcome in ('assigned', 'no-capacity', 'user-already-active', 'region-not-enabled',
    'version-mismatch', 'given-up', 'not-active')),
  requested_at timestamptz not null default now(),
  assigned_at timestamptz,
  running_at timestamptz,
  ended_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint assignments_idempotency unique (user_id, idempotency_key)
);
create index if not exists assignments_agent on fleet.assignments (agent_id);
create index if not exists assignments_age on fleet.assignments (requested_at);
create index if not exists assignments_demand on fleet.assignments (demand_region_id, requested_at);

-- The outbox of row changes, followed by the daemon. A row says where to look, never what was written.
create table if not exists fleet.changes (
  sequence bigint generated always as identity primary key,
  table_name text not null,
  row_id text not null,
  region_id text not null,
  created_at timestamptz not null default now()
);
create index if not exists changes_age on fleet.changes (created_at);

create table if not exists fleet.decisions (
  id text primary key,
  region_id text not null,
  turn integer not null,
  place integer not null,
  causes jsonb not null default '[]',
  kind text not null,
  target text,
  reason text not null,
  inputs jsonb not null default '{}',
  repeats integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index if not exists decisions_region on fleet.decisions (region_id, created_at desc);
create index if not exists decisions_target on fleet.decisions (target, created_at desc);
create index if not exists decisions_age on fleet.decisions (created_at);
-- The last words about a target, the region itself (no target) too: commit_turn looks them up at each refusal.
create index if not exists decisions_last_words on fleet.decisions (region_id, kind, coalesce(target, ''), turn desc);

create table if not exists fleet.actions (
  id text primary key,
  decision_id text not null,
  region_id text not null,
  kind text not null,
  target text,
  params jsonb not null default '{}',
  status text not null default 'RUNNING' check (status in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
  attempts integer not null default 0,
  next_attempt_at timestamptz,
  error_code text,
  error text,
  started_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index if not exists actions_open on fleet.actions (id) where status in ('QUEUED', 'RUNNING');
create index if not exists actions_region on fleet.actions (region_id, created_at desc);
create index if not exists actions_age on fleet.actions (created_at);

create table if not exists fleet.action_logs (
  action_id text not null references fleet.actions (id) on delete cascade,
  sequence integer not null,
  level text not null default 'info' check (level in ('info', 'warn', 'error')),
  message text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (action_id, sequence)
);

insert into fleet.settings (schema_version) values (1) on conflict (id) do nothing;
