-- Who a manager is, and how it loses its right (docs/design/backends.md): tables, and what they defend whoever writes.
-- Locks are taken in the order region, host, agents, backend, certificates.

-- A manager's key is its backend's from here on.
drop function if exists fleet.enroll_host;

-- The trusted identity of a manager. A launched one has its host's id and ends with its host; one that was made by hand
-- has no launch_id, and gets hosts in its region as it connects.
create table if not exists fleet.backends (
  id text primary key default gen_random_uuid()::text,
  name text not null check (length(name) between 1 and 200),
  description text not null default '' check (length(description) <= 2000),
  address text not null default '' check (length(address) <= 255),
  -- A person gave the address: what the manager says of its own does not count.
  address_is_given boolean not null default false,
  status text not null default 'ENABLED' check (status in ('ENABLED', 'TERMINATING', 'TERMINATED')),
  reason text check (reason in ('certificate-revoked', 'user', 'host-terminated')),
  launch_id text,
  region_id text references fleet.regions (id) on delete set null,
  host_id text references fleet.hosts (id) on delete set null,
  enrolled_token_id text,
  enrolled_spki_hash text,
  enrolled_at timestamptz,
  connected_at timestamptz,
  connected_serial text,
  last_seen_at timestamptz,
  -- What its manager says of its platform, to the byte.
  info bytea check (octet_length(info) <= 1048576),
  info_at timestamptz,
  terminated_at timestamptz,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint backends_reason check ((status = 'ENABLED') = (reason is null)),
  constraint backends_connection check ((connected_at is null) = (connected_serial is null)),
  constraint backends_launched check (launch_id is null or (region_id is null and (host_id is null or host_id = id)))
);
create unique index if not exists backends_host on fleet.backends (host_id);
create unique index if not exists backends_enrolled_key on fleet.backends (enrolled_spki_hash);
create index if not exists backends_newest on fleet.backends (created_at desc, id);
create index if not exists backends_region on fleet.backends (region_id);
create index if not exists backends_ended on fleet.backends (terminated_at) where status = 'TERMINATED';

-- Every certificate that was issued. backend_id is null once its backend is deleted: the revocation list still names it.
create table if not exists fleet.certificates (
  serial text primary key check (serial ~ '^[0-9a-f]{32}$'),
  backend_id text references fleet.backends (id) on delete set null,
  spki_hash text not null check (spki_hash ~ '^[0-9a-f]{64}$'),
  -- The serial that it followed, whoever asked: what a stolen key got for itself goes with it.
  renews text check (renews <> serial),
  issuer text not null,
  pem text not null,
  not_before timestamptz not null,
  not_after timestamptz not null,
  first_used_at timestamptz,
  retires_at timestamptz,
  revoked_at timestamptz,
  revoke_reason text check (revoke_reason in ('certificate-revoked', 'superseded', 'user', 'host-terminated', 'deleted')),
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint certificates_validity check (not_before < not_after),
  constraint certificates_revoked check ((revoked_at is null) = (revoke_reason is null))
);
-- A key has one certificate, whoever asks.
create unique index if not exists certificates_key on fleet.certificates (spki_hash);
create index if not exists certificates_renewed on fleet.certificates (renews) where renews is not null;
create index if not exists certificates_backend on fleet.certificates (backend_id, created_at desc);
create index if not exists certificates_live on fleet.certificates (not_after) where revoked_at is null;
create index if not exists certificates_revoked_first on fleet.certificates (serial) where revoked_at is not null;
create index if not exists certificates_age on fleet.certificates (not_after);

-- Secrets are stored hashed only.
create table if not exists fleet.enrolment_tokens (
  id text primary key,
  secret_hash text not null check (secret_hash ~ '^[0-9a-f]{64}$'),
  launch_id text,
  backend_id text references fleet.backends (id) on delete cascade,
  uses integer not null default 1 check (uses >= 1),
  used integer not null default 0,
  expires_at timestamptz not null,
  created_by text not null,
  -- When its use with another key was last put on record: whoever holds a token must not fill the audit.
  alarmed_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint enrolment_tokens_of_one check ((launch_id is null) <> (backend_id is null)),
  constraint enrolment_tokens_uses check (used between 0 and uses)
);
create index if not exists enrolment_tokens_backend on fleet.enrolment_tokens (backend_id);
create index if not exists enrolment_tokens_ended on fleet.enrolment_tokens (expires_at);

-- Who did what: append-only, kept for ever.
create table if not exists fleet.audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  actor text not null,
  act text not null,
  backend_id text,
  serial text,
  details jsonb not null default '{}'
);
create index if not exists audit_backend on fleet.audit (backend_id, id desc);

create or replace function fleet.note_act(actor text, act text, backend_id text, serial text, details jsonb) returns void
language sql as $$
  insert into fleet.audit (actor, act, backend_id, serial, details)
    values (left(note_act.actor, 200), note_act.act, note_act.backend_id, note_act.serial, coalesce(note_act.details, '{}'))
$$;

create or replace function fleet.guard_audit() returns trigger language plpgsql as $$
begin
  raise exception 'the audit is append-only' using errcode = '23514';
end $$;

-- The backend's state machine, as src/model/backend.ts has it.
create or replace function fleet.backend_transition_is_legal(was text, becomes text) returns boolean
language sql immutable as $$
  select case was
    when 'ENABLED' then becomes in ('TERMINATING', 'TERMINATED')
    when 'TERMINATING' then becomes in ('TERMINATED', 'ENABLED')
    when 'TERMINATED' then becomes = 'ENABLED'
    else false
  end
$$;

create or replace function fleet.guard_backend() returns trigger language plpgsql as $$
declare
  was fleet.backends := old;
  same fleet.backends;
begin
  if new.id <> old.id or new.launch_id is distinct from old.launch_id
      or (new.region_id is not null and new.region_id is distinct from old.region_id) then
    raise exception 'backend %: id, launch_id and region_id never change', old.id using errcode = '23514';
  end if;
  -- Its host's row is gone: what ends with its host has ended.
  if new.host_id is null and old.host_id is not null and new.status = old.status
      and (old.status = 'TERMINATING' or (old.status = 'ENABLED' and old.launch_id is not null)) then
    new.status := 'TERMINATED';
    new.reason := coalesce(new.reason, 'host-terminated');
  end if;
  if new.status <> old.status then
    if not fleet.backend_transition_is_legal(old.status, new.status) then
      raise exception 'backend % may not go from % to %', old.id, old.status, new.status using errcode = '23514';
    end if;
    if new.status = 'ENABLED' and new.launch_id is not null and not exists (select 1 from fleet.hosts h
        where h.id = new.host_id and h.status not in ('TERMINATING', 'TERMINATED')) then
      raise exception 'backend %: it was launched, and has ended with its host', old.id using errcode = '23514';
    end if;
    new.reason := case when new.status <> 'ENABLED' then coalesce(new.reason, 'user') end;
    new.terminated_at := case when new.status = 'TERMINATED' then now() end;
  end if;
  -- Who is connected, when it was heard and what it says of itself are no change: neither a revision nor an event.
  same := new;
  same.connected_at := old.connected_at;
  same.connected_serial := old.connected_serial;
  same.last_seen_at := old.last_seen_at;
  same.info_at := old.info_at;
  -- Never compared, since it may be long.
  same.info := null;
  was.info := null;
  if same is not distinct from was then
    return new;
  end if;
  new.revision := old.revision + 1;
  new.updated_at := now();
  return new;
end $$;

-- What stops a backend fences its host in the same transaction: TERMINATING drains it, TERMINATED ends it with whatever
-- runs on it.
create or replace function fleet.fence_backend() returns trigger language plpgsql as $$
begin
  if new.status = 'TERMINATING' then
    update fleet.hosts h set status = 'DRAINING', reason = 'its backend is terminated: ' || new.reason
      where h.id = new.host_id and h.status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE');
  elsif new.status = 'TERMINATED' then
    update fleet.hosts h set status = 'TERMINATING', reason = 'its backend is terminated: ' || new.reason
      where h.id = new.host_id and h.status not in ('TERMINATING', 'TERMINATED');
    update fleet.agents a set status = 'DYING' where a.host_id = new.host_id and a.status <> 'DYING'
      and exists (select 1 from fleet.hosts h where h.id = new.host_id and h.status <> 'TERMINATED');
  end if;
  return null;
end $$;

-- A backend that is deleted leaves neither a certificate that opens a door nor a host that serves.
create or replace function fleet.forget_backend() returns trigger language plpgsql as $$
begin
  update fleet.hosts h set status = 'TERMINATING', reason = 'its backend is deleted'
    where h.id = old.host_id and h.status not in ('TERMINATING', 'TERMINATED');
  update fleet.agents a set status = 'DYING' where a.host_id = old.host_id and a.status <> 'DYING';
  update fleet.certificates c set revoked_at = now(), revoke_reason = 'deleted'
    where c.backend_id = old.id and c.revoked_at is null and c.not_after > now();
  return old;
end $$;

-- A host has ended. A launched backend ends with it; one that was made by hand may get another.
create or replace function fleet.end_backend() returns trigger language plpgsql as $$
declare
  ended text;
begin
  if tg_op = 'UPDATE' then
    update fleet.backends b set status = 'TERMINATED', reason = coalesce(b.reason, 'host-terminated')
      where b.host_id = old.id and b.launch_id is not null and b.status <> 'TERMINATED' returning b.id into ended;
    if found then
      perform fleet.note_act('muster', 'backend-terminated', ended, null, '{"reason": "host-terminated"}');
    end if;
    update fleet.backends b set host_id = null where b.host_id = old.id and b.launch_id is null;
  end if;
  update fleet.certificates c set revoked_at = now(), revoke_reason = 'host-terminated'
    from fleet.backends b where b.id = old.id and b.launch_id is not null
      and c.backend_id = b.id and c.revoked_at is null and c.not_after > now();
  return null;
end $$;

-- A provider's name of a machine is unique for ever. A backend that was made by hand has one host after another: the one
-- that has ended gives the name back.
create or replace function fleet.release_name() returns trigger language plpgsql as $$
begin
  new.cloud_id := new.cloud_id || '/' || new.id;
  return new;
end $$;

create or replace function fleet.guard_certificate() returns trigger language plpgsql as $$
declare
  same fleet.certificates;
begin
  if new.serial <> old.serial or new.spki_hash <> old.spki_hash or new.renews is distinct from old.renews
      or new.issuer <> old.issuer or new.pem <> old.pem
      or new.not_before <> old.not_before or new.not_after <> old.not_after or new.backend_id <> old.backend_id
      or (old.backend_id is null and new.backend_id is not null) then
    raise exception 'certificate %: what was issued never changes', old.serial using errcode = '23514';
  end if;
  if old.revoked_at is not null and (new.revoked_at is distinct from old.revoked_at
      or new.revoke_reason is distinct from old.revoke_reason) then
    raise exception 'certificate %: what is revoked stays so', old.serial using errcode = '23514';
  end if;
  if old.retires_at is not null and (new.retires_at is null or new.retires_at > old.retires_at) then
    raise exception 'certificate %: what retires does not stay longer', old.serial using errcode = '23514';
  end if;
  -- That it was used opens and closes no door.
  same := new;
  same.first_used_at := old.first_used_at;
  if same is not distinct from old then
    return new;
  end if;
  new.revision := old.revision + 1;
  new.updated_at := now();
  return new;
end $$;

-- The outbox: whose right may have changed. Of no region, so that it wakes none.
create or replace function fleet.note_backend_change() returns trigger language plpgsql as $$
begin
  insert into fleet.changes (table_name, row_id, region_id) values ('backends', coalesce(new.id, old.id), '');
  return null;
end $$;

create or replace function fleet.note_certificate_change() returns trigger language plpgsql as $$
begin
  insert into fleet.changes (table_name, row_id, region_id) values ('certificates', coalesce(new.serial, old.serial), '');
  return null;
end $$;

-- Not for what is written of every backend every minute: connected_at, connected_serial, last_seen_at, info, info_at.
create or replace trigger guard before update of id, name, description, address, address_is_given, status, reason, launch_id,
  region_id, host_id, enrolled_token_id, enrolled_spki_hash, enrolled_at, terminated_at, revision, created_at, updated_at
  on fleet.backends for each row execute function fleet.guard_backend();
create or replace trigger fence after update on fleet.backends for each row
  when (new.status <> old.status) execute function fleet.fence_backend();
create or replace trigger forget before delete on fleet.backends for each row execute function fleet.forget_backend();
create or replace trigger note_change after insert or delete on fleet.backends for each row
  execute function fleet.note_backend_change();
create or replace trigger note_update after update on fleet.backends for each row
  when (new.revision <> old.revision) execute function fleet.note_backend_change();
create or replace trigger guard before update on fleet.certificates for each row execute function fleet.guard_certificate();
create or replace trigger note_change after insert on fleet.certificates for each row
  execute function fleet.note_certificate_change();
create or replace trigger note_update after update on fleet.certificates for each row
  when (new.revision <> old.revision) execute function fleet.note_certificate_change();
-- That what has expired is forgotten is no news.
create or replace trigger note_delete after delete on fleet.certificates for each row
  when (old.not_after > now()) execute function fleet.note_certificate_change();
create or replace trigger guard before update or delete on fleet.audit for each row execute function fleet.guard_audit();
create or replace trigger guard_whole before truncate on fleet.audit for each statement execute function fleet.guard_audit();
create or replace trigger end_backend after update of status on fleet.hosts for each row
  when (new.status = 'TERMINATED' and old.status <> 'TERMINATED') execute function fleet.end_backend();
create or replace trigger end_backend_of_deleted after delete on fleet.hosts for each row execute function fleet.end_backend();
create or replace trigger release_name before update of status on fleet.hosts for each row
  when (new.status = 'TERMINATED' and old.status <> 'TERMINATED' and new.launch_id is null and new.cloud_id like 'backend:%')
  execute function fleet.release_name();

update fleet.settings set schema_version = 2, updated_at = now() where schema_version < 2;
