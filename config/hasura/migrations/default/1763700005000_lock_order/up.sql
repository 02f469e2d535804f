-- One order for all locks, so that nobody ever waits for whom he keeps waiting (docs/design/trust.md):
--
--   1. the user (an advisory lock, of claims only), the lease
--   2. the action of a launch, when its end is stored
--   3. the region, its images
--   4. hosts, in order of id
--   5. agents, in order of id
--   6. backends, in order of id
--   7. certificates, in order of serial
--   8. tokens, in order of id
--   9. what is locked last, each by itself: blocked offerings, assignments, decisions, actions of terminations
--
-- What follows from it:
-- - UPDATE and DELETE lock rows as the scan meets them. Whoever writes several locks them before, by a SELECT with ORDER BY,
--   and then writes those and no others: a second look finds rows that were not there at the first.
-- - Triggers write downwards: a host's its agents, its backend and that one's certificates; a backend's its certificates.
--   Where a statement would set off several, or one that comes back to rows further up, all of it is locked beforehand.
-- - A row is locked at once as firmly as it is wanted in the end: two who share it cannot both have it alone. What changes
--   a column of a unique index (cloud_id, host_id) or deletes wants FOR UPDATE.
-- - One agent or backend alone may be locked from nothing, by whoever then goes on downwards only.
-- - Inserts wait for each other at equal keys, so they too are in order.
-- - A foreign key locks the row that it names FOR KEY SHARE, which only a deletion keeps waiting. Regions and images are
--   deleted by hand only, and a region's backends are locked first (lock_region).
-- - prune waits for nobody but a backend; what else is in use it leaves to its next time.
-- A statement by hand that writes several rows, or that stops or deletes a backend without the function for it, locks as it
-- comes: it may be refused with 40P01 for it, and be said again.

-- The fence, first half: what stops a host from serving also withdraws its free agents, in one transaction.
create or replace function fleet.fence_host() returns trigger language plpgsql as $$
begin
  if new.status is distinct from old.status then
    if new.status in ('DRAINING', 'TERMINATING') then
      -- An agent that was inserted while we waited for the host is not in an older snapshot, and would stay WAITING.
      if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'host %: drains and ends in a READ COMMITTED transaction only', new.id using errcode = '23514';
      end if;
      perform 1 from fleet.agents a where a.host_id = new.id and a.status = 'WAITING' order by a.id for no key update;
      update fleet.agents set status = 'DYING' where host_id = new.id and status = 'WAITING';
    elsif new.status = 'TERMINATED' then
      perform 1 from fleet.agents a where a.host_id = new.id order by a.id for update;
      delete from fleet.agents where host_id = new.id;
    end if;
  end if;
  return null;
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
    perform 1 from fleet.agents a where a.host_id = new.host_id order by a.id for no key update;
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
  perform 1 from fleet.agents a where a.host_id = old.host_id order by a.id for no key update;
  update fleet.agents a set status = 'DYING' where a.host_id = old.host_id and a.status <> 'DYING';
  -- All of them: those that stay are of no backend from here on, and its tokens go.
  perform 1 from fleet.certificates c where c.backend_id = old.id order by c.serial for no key update;
  perform 1 from fleet.enrolment_tokens t where t.backend_id = old.id order by t.id for update;
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
    -- The fence, which comes after this by its name, removes them.
    perform 1 from fleet.agents a where a.host_id = old.id order by a.id for update;
    update fleet.backends b set status = 'TERMINATED', reason = coalesce(b.reason, 'host-terminated')
      where b.host_id = old.id and b.launch_id is not null and b.status <> 'TERMINATED' returning b.id into ended;
    if found then
      perform fleet.note_act('muster', 'backend-terminated', ended, null, '{"reason": "host-terminated"}');
    end if;
    update fleet.backends b set host_id = null where b.host_id = old.id and b.launch_id is null;
  end if;
  perform 1 from fleet.certificates c join fleet.backends b on b.id = c.backend_id
    where b.id = old.id and b.launch_id is not null and c.revoked_at is null and c.not_after > now()
    order by c.serial for no key update of c;
  update fleet.certificates c set revoked_at = now(), revoke_reason = 'host-terminated'
    from fleet.backends b where b.id = old.id and b.launch_id is not null
      and c.backend_id = b.id and c.revoked_at is null and c.not_after > now();
  return null;
end $$;

-- A region that is deleted leaves its backends without one, in whatever order they lie.
create or replace function fleet.lock_region() returns trigger language plpgsql as $$
begin
  perform 1 from fleet.hosts h where h.region_id = old.id order by h.id for key share;
  perform 1 from fleet.backends b where b.region_id = old.id order by b.id for no key update;
  return old;
end $$;
create or replace trigger lock_below before delete on fleet.regions for each row execute function fleet.lock_region();

-- A backend, locked after its host, and when it may end (`is_ending`) after its host's agents; a row of nulls when there is
-- none.
drop function if exists fleet.lock_backend(text);
create or replace function fleet.lock_backend(backend_id text, is_ending boolean) returns fleet.backends language plpgsql as $$
declare
  seen text;
  backend fleet.backends;
begin
  loop
    begin
      select b.host_id into seen from fleet.backends b where b.id = lock_backend.backend_id;
      perform 1 from fleet.hosts h where h.id = seen for no key update;
      if is_ending then
        perform 1 from fleet.agents a where a.host_id = seen order by a.id for update;
      end if;
      select * into backend from fleet.backends b where b.id = lock_backend.backend_id for no key update;
      if not found or backend.host_id is not distinct from seen then
        return backend;
      end if;
      -- It got a host or lost one meanwhile. Locks of a subtransaction that is rolled back are given up.
      raise exception using errcode = 'MU000', message = 'its host is another';
    exception when sqlstate 'MU000' then null;
    end;
  end loop;
end $$;

-- `agents`: kill (it is TERMINATED and its host ends) or drain (it is TERMINATING until its host has ended). Without a host
-- there is nothing to drain. The host is fenced by a trigger, in the same transaction.
create or replace function fleet.terminate_backend(id text, reason text, agents text, actor text) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
  becomes text := 'TERMINATED';
begin
  select * into backend from fleet.lock_backend(terminate_backend.id, true);
  if backend.id is null then
    return;
  end if;
  if terminate_backend.agents = 'drain'
      and exists (select 1 from fleet.hosts h where h.id = backend.host_id and h.status <> 'TERMINATED') then
    becomes := 'TERMINATING';
  end if;
  if backend.status = becomes or backend.status = 'TERMINATED' then
    return next backend;
    return;
  end if;
  perform fleet.note_act(terminate_backend.actor, 'backend-terminated', backend.id, backend.connected_serial,
    jsonb_build_object('reason', terminate_backend.reason, 'agents', terminate_backend.agents, 'host_id', backend.host_id));
  return query update fleet.backends b set status = becomes, reason = terminate_backend.reason
    where b.id = backend.id returning b.*;
end $$;

-- Not while it is connected or its host stands, unless by force. A trigger fences its host and revokes its certificates, which stay for the
-- revocation list; its tokens go with it.
create or replace function fleet.delete_backend(id text, force boolean, actor text) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
begin
  select * into backend from fleet.lock_backend(delete_backend.id, true);
  if backend.id is null or (not delete_backend.force and (backend.connected_at is not null
      or exists (select 1 from fleet.hosts h where h.id = backend.host_id and h.status <> 'TERMINATED'))) then
    return;
  end if;
  perform fleet.note_act(delete_backend.actor, 'backend-deleted', backend.id, backend.connected_serial,
    jsonb_build_object('name', backend.name, 'force', delete_backend.force, 'host_id', backend.host_id));
  delete from fleet.backends b where b.id = backend.id;
  return next backend;
end $$;

-- A launched backend whose host has ended, or is to end, stays terminated: no row.
create or replace function fleet.enable_backend(id text, actor text) returns setof fleet.backends language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
begin
  select * into backend from fleet.lock_backend(enable_backend.id, false);
  if backend.id is null or (backend.launch_id is not null and not exists (select 1 from fleet.hosts h
      where h.id = backend.host_id and h.status not in ('TERMINATING', 'TERMINATED'))) then
    return;
  end if;
  if backend.status = 'ENABLED' then
    return next backend;
    return;
  end if;
  perform fleet.note_act(enable_backend.actor, 'backend-enabled', backend.id, null, jsonb_build_object('was', backend.status));
  return query update fleet.backends b set status = 'ENABLED' where b.id = backend.id returning b.*;
end $$;

-- What is to change: {name, description, address}. An address that is given counts from now on; an empty one leaves it to
-- the manager again.
create or replace function fleet.update_backend(id text, changes jsonb, actor text) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
begin
  select * into backend from fleet.lock_backend(update_backend.id, false);
  if backend.id is null then
    return;
  end if;
  if changes ->> 'address' <> '' then
    update fleet.hosts h set address = changes ->> 'address' where h.id = backend.host_id and h.status <> 'TERMINATED'
      and h.address is distinct from changes ->> 'address';
  end if;
  perform fleet.note_act(update_backend.actor, 'backend-updated', backend.id, null, changes);
  return query update fleet.backends b set name = coalesce(changes ->> 'name', b.name),
      description = coalesce(changes ->> 'description', b.description), address = coalesce(changes ->> 'address', b.address),
      address_is_given = coalesce(changes ->> 'address' <> '', b.address_is_given)
    where b.id = backend.id returning b.*;
end $$;

-- With it goes what descends from it by renewal, unless it was merely superseded: whoever stole the key renewed it. When the
-- one in use is among them, or the last that is live, its backend is terminated.
create or replace function fleet.revoke_certificate(serial text, reason text, actor text) returns setof fleet.certificates
language plpgsql as $$
#variable_conflict use_column
declare
  certificate fleet.certificates;
  backend fleet.backends;
  was_live boolean;
  lost text[];
  revoked text[];
begin
  select * into certificate from fleet.certificates c where c.serial = revoke_certificate.serial;
  if not found then
    return;
  end if;
  select * into backend from fleet.lock_backend(certificate.backend_id, true);
  was_live := exists (select 1 from fleet.certificates c where c.backend_id = backend.id and fleet.certificate_is_live(c));
  with recursive descent (serial) as (
    select revoke_certificate.serial
    union
    select c.serial from descent d join fleet.certificates c on c.renews = d.serial
      where revoke_certificate.reason <> 'superseded'
  ) select array_agg(d.serial) into lost from descent d;
  perform 1 from fleet.certificates c where c.serial = any (lost) order by c.serial for no key update;
  with ended as (
    update fleet.certificates c set revoked_at = now(), revoke_reason = revoke_certificate.reason
      where c.serial = any (lost) and c.revoked_at is null returning c.serial, c.created_at
  ) select array_agg(e.serial order by e.created_at, e.serial) into revoked from ended e;
  if revoked is not null then
    perform fleet.note_act(revoke_certificate.actor, 'certificate-revoked', backend.id, each.serial,
        jsonb_build_object('reason', revoke_certificate.reason, 'with', revoke_certificate.serial))
      from unnest(revoked) as each (serial);
    if backend.status <> 'TERMINATED' and (backend.connected_serial = any (revoked) or (was_live
        and not exists (select 1 from fleet.certificates c where c.backend_id = backend.id and fleet.certificate_is_live(c)))) then
      update fleet.backends b set status = 'TERMINATED', reason = 'certificate-revoked' where b.id = backend.id;
      perform fleet.note_act(revoke_certificate.actor, 'backend-terminated', backend.id, revoke_certificate.serial,
        '{"reason": "certificate-revoked", "agents": "kill"}');
    end if;
  end if;
  return query select * from fleet.certificates c where c.serial = revoke_certificate.serial;
end $$;

create or replace function fleet.redeem_launch_token(token fleet.enrolment_tokens, spki_hash text, cloud_id text, address text)
returns setof fleet.backends language plpgsql as $$
#variable_conflict use_column
declare
  host fleet.hosts;
  backend fleet.backends;
  is_bound boolean;
begin
  if redeem_launch_token.cloud_id = '' then
    return;
  end if;
  -- Everybody who binds machines of the launch waits here, in order of id.
  perform 1 from fleet.hosts h where h.launch_id = token.launch_id order by h.id for update;
  select * into host from fleet.hosts h where h.launch_id = token.launch_id and h.cloud_id = redeem_launch_token.cloud_id;
  is_bound := found;
  -- Its key and its status are changed by who holds its host: it need not be locked, and its host's agents come before it.
  select * into backend from fleet.backends b where b.id = host.id;
  if found then
    if backend.enrolled_spki_hash = redeem_launch_token.spki_hash then
      if backend.status = 'ENABLED' and fleet.may_ask_again(backend) then
        return next backend;
      end if;
      return;
    end if;
    update fleet.hosts h set status = 'DRAINING', reason = 'its enrolment token was used with another key'
      where h.id = host.id and h.status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE');
    perform fleet.alarm_token(token.id, backend.id, jsonb_build_object('token_id', token.id,
      'cloud_id', redeem_launch_token.cloud_id, 'spki_hash', redeem_launch_token.spki_hash));
    return;
  end if;
  -- As it is now: another host of the launch may just have used it. Whoever uses it holds the launch's hosts, so it stays so,
  -- and is locked after the agents of those that are drained.
  select * into token from fleet.enrolment_tokens t where t.id = token.id;
  if not found then
    return;
  end if;
  -- One machine more than were launched: one of those that came before it was none of ours.
  if token.used >= token.uses then
    perform 1 from fleet.agents a join fleet.hosts h on h.id = a.host_id
      where h.launch_id = token.launch_id and a.status = 'WAITING' order by a.id for no key update of a;
    update fleet.hosts h set status = 'DRAINING', reason = 'its enrolment token was used by one machine too many'
      where h.launch_id = token.launch_id and h.status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE')
        and exists (select 1 from fleet.backends b where b.host_id = h.id and b.enrolled_token_id = token.id);
    perform fleet.alarm_token(token.id, null, jsonb_build_object('token_id', token.id,
      'cloud_id', redeem_launch_token.cloud_id, 'spki_hash', redeem_launch_token.spki_hash));
    return;
  end if;
  if not is_bound then
    perform fleet.bind_launch(token.launch_id, jsonb_build_array(redeem_launch_token.cloud_id));
    select * into host from fleet.hosts h where h.launch_id = token.launch_id and h.cloud_id = redeem_launch_token.cloud_id;
  end if;
  -- A machine that is to end is bound all the same, so that it is found and ended.
  if host.id is null or host.status in ('TERMINATING', 'TERMINATED')
      or exists (select 1 from fleet.certificates c where c.spki_hash = redeem_launch_token.spki_hash) then
    return;
  end if;
  insert into fleet.backends (id, name, address, launch_id, host_id, enrolled_token_id, enrolled_spki_hash, enrolled_at)
    values (host.id, left(host.cloud_id, 200), redeem_launch_token.address, token.launch_id, host.id, token.id,
      redeem_launch_token.spki_hash, now())
    on conflict do nothing returning * into backend;
  -- Another backend has the key.
  if not found then
    return;
  end if;
  update fleet.enrolment_tokens t set used = t.used + 1, updated_at = now() where t.id = token.id;
  update fleet.hosts h set address = redeem_launch_token.address where h.id = host.id;
  perform fleet.note_act('token:' || token.id, 'enrolled', backend.id, null, jsonb_build_object('token_id', token.id,
    'cloud_id', host.cloud_id, 'spki_hash', redeem_launch_token.spki_hash, 'address', redeem_launch_token.address));
  return next backend;
end $$;

create or replace function fleet.redeem_backend_token(token fleet.enrolment_tokens, spki_hash text, cloud_id text, address text)
returns setof fleet.backends language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
begin
  select * into backend from fleet.lock_backend(token.backend_id, true);
  if backend.id is null or backend.status <> 'ENABLED' then
    return;
  end if;
  if backend.enrolled_token_id = token.id and backend.enrolled_spki_hash = redeem_backend_token.spki_hash then
    if fleet.may_ask_again(backend) then
      return next backend;
    end if;
    return;
  end if;
  select * into token from fleet.enrolment_tokens t where t.id = token.id for no key update;
  if not found then
    return;
  end if;
  if token.used >= token.uses then
    update fleet.hosts h set status = 'DRAINING', reason = 'its enrolment token was used with another key'
      where h.id = backend.host_id and h.status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE');
    perform fleet.alarm_token(token.id, backend.id, jsonb_build_object('token_id', token.id,
      'cloud_id', redeem_backend_token.cloud_id, 'spki_hash', redeem_backend_token.spki_hash));
    return;
  end if;
  -- A launched backend comes back on the machine that it had; and a key is one backend's, with one certificate.
  if backend.launch_id is not null and not exists (select 1 from fleet.hosts h
      where h.id = backend.host_id and h.cloud_id = redeem_backend_token.cloud_id) then
    return;
  end if;
  if exists (select 1 from fleet.certificates c where c.spki_hash = redeem_backend_token.spki_hash)
      or exists (select 1 from fleet.backends b where b.enrolled_spki_hash = redeem_backend_token.spki_hash) then
    return;
  end if;
  update fleet.enrolment_tokens t set used = t.used + 1, updated_at = now() where t.id = token.id;
  perform fleet.note_act('token:' || token.id, 'enrolled', backend.id, null, jsonb_build_object('token_id', token.id,
    'cloud_id', redeem_backend_token.cloud_id, 'spki_hash', redeem_backend_token.spki_hash,
    'address', redeem_backend_token.address));
  return query update fleet.backends b set enrolled_token_id = token.id, enrolled_spki_hash = redeem_backend_token.spki_hash,
      enrolled_at = now(), address = case when b.address_is_given then b.address else redeem_backend_token.address end
    where b.id = backend.id returning b.*;
end $$;

-- A stream opened. A certificate's first use retires its backend's older ones after 10 minutes. The host is registered:
-- PRE_CONNECTION becomes ACTIVE, UNRESPONSIVE what it was, and its region's run of failed launches ends.
create or replace function fleet.connect_backend(serial text, address text, capacity integer, fence integer)
returns setof fleet.backends language plpgsql as $$
#variable_conflict use_column
declare
  certificate fleet.certificates;
  backend fleet.backends;
  region fleet.regions;
begin
  perform fleet.demand_lease(connect_backend.fence);
  select * into certificate from fleet.certificates c where c.serial = connect_backend.serial;
  select * into backend from fleet.backends b where b.id = certificate.backend_id;
  if not found then
    return;
  end if;
  -- A region before its hosts, as commit_turn locks them.
  select r.* into region from fleet.regions r
    where r.id = backend.region_id
      or (r.launch_failures > 0 and r.id = (select h.region_id from fleet.hosts h where h.id = backend.host_id))
    order by r.id for no key update of r;
  -- The host that it may be given names it.
  perform 1 from fleet.images i where i.region_id = backend.region_id and i.status = 'ACTIVE'
    order by i.id for key share;
  select * into backend from fleet.lock_backend(backend.id, false);
  -- It, and those that its first use retires.
  perform 1 from fleet.certificates c where c.serial = connect_backend.serial
      or (c.backend_id = backend.id and c.revoked_at is null and c.not_after > now() and c.retires_at is null)
    order by c.serial for no key update;
  select * into certificate from fleet.certificates c where c.serial = connect_backend.serial for no key update;
  if not found or backend.id is null or backend.status not in ('ENABLED', 'TERMINATING')
      or certificate.backend_id is distinct from backend.id or not fleet.certificate_is_live(certificate) then
    return;
  end if;

  if certificate.first_used_at is null then
    update fleet.certificates c set first_used_at = now() where c.serial = certificate.serial;
    update fleet.certificates c set retires_at = now() + interval '10 minutes'
      where c.backend_id = backend.id and c.serial <> certificate.serial and c.created_at <= certificate.created_at
        and c.revoked_at is null and c.not_after > now() + interval '10 minutes' and c.retires_at is null;
  end if;
  update fleet.backends b set connected_at = now(), connected_serial = certificate.serial, last_seen_at = now(),
      address = case when b.address_is_given then b.address else coalesce(nullif(connect_backend.address, ''), b.address) end
    where b.id = backend.id returning * into backend;

  if backend.host_id is null and backend.region_id = region.id and backend.status = 'ENABLED' then
    backend.host_id := fleet.give_host(backend, connect_backend.capacity);
  end if;
  update fleet.hosts h set heartbeat_at = now(), address = backend.address, capacity = connect_backend.capacity,
    status = case when h.status = 'UNRESPONSIVE' then h.status_before else h.status end
    where h.id = backend.host_id and h.status <> 'TERMINATED';
  update fleet.hosts h set status = 'ACTIVE' where h.id = backend.host_id and h.status = 'PRE_CONNECTION';
  if backend.host_id is not null then
    update fleet.regions r set launch_failures = 0, launch_blocked_until = null, launch_error_code = null, launch_error = null
      where r.id = region.id and r.launch_failures > 0;
  end if;
  return query select * from fleet.backends b where b.id = backend.id;
end $$;

-- Streams that ended: [backend id]; null: all of them, at a change of daemon.
create or replace function fleet.disconnect_backends(backend_ids jsonb, fence integer) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  locked text[];
begin
  if fleet.lease_is_held(disconnect_backends.fence) then
    select array_agg(b.id) into locked from (select b.id from fleet.backends b where b.connected_at is not null
      and (jsonb_typeof(coalesce(backend_ids, 'null')) = 'null' or backend_ids ? b.id) order by b.id for no key update) b;
    update fleet.backends b set connected_at = null, connected_serial = null where b.id = any (locked);
  end if;
  return;
end $$;

-- When backends were last heard, flushed at most once a minute: {backend id: time}. No revision, no change rows.
create or replace function fleet.flush_backends(beats jsonb, fence integer) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  locked text[];
begin
  if fleet.lease_is_held(flush_backends.fence) then
    select array_agg(b.id) into locked
      from (select b.id from fleet.backends b where beats ? b.id order by b.id for no key update) b;
    update fleet.backends b set last_seen_at = t.value::timestamptz
      from jsonb_each_text(beats) as t
      where b.id = t.key and b.id = any (locked) and (b.last_seen_at is null or b.last_seen_at < t.value::timestamptz);
  end if;
  return;
end $$;

-- Heartbeats are kept in memory and flushed at most once a minute: {host id: time}. No revision, no change rows.
create or replace function fleet.flush_heartbeats(beats jsonb, fence integer) returns setof fleet.hosts
language plpgsql as $$
#variable_conflict use_column
declare
  locked text[];
begin
  if fleet.lease_is_held(flush_heartbeats.fence) then
    select array_agg(h.id) into locked
      from (select h.id from fleet.hosts h where beats ? h.id order by h.id for no key update) h;
    update fleet.hosts h set heartbeat_at = b.value::timestamptz
      from jsonb_each_text(beats) as b
      where h.id = b.key and h.id = any (locked) and h.status <> 'TERMINATED' and (h.heartbeat_at is null or h.heartbeat_at < b.value::timestamptz);
  end if;
  return;
end $$;

-- A machine is known to be gone: its row ends, and its terminations with it.
create or replace function fleet.end_host(host_id text, fence integer, reason text) returns setof fleet.hosts
language plpgsql as $$
#variable_conflict use_column
begin
  if not fleet.lease_is_held(end_host.fence) then
    return;
  end if;
  perform 1 from fleet.hosts h where h.id = end_host.host_id for update;
  perform 1 from fleet.agents a where a.host_id = end_host.host_id order by a.id for update;
  update fleet.hosts h set status = 'TERMINATING' where h.id = end_host.host_id and h.status not in ('TERMINATING', 'TERMINATED');
  update fleet.hosts h set status = 'TERMINATED', reason = coalesce(end_host.reason, h.reason)
    where h.id = end_host.host_id and h.status = 'TERMINATING';
  perform 1 from fleet.actions a where a.target = end_host.host_id and a.kind = 'terminate'
    and a.status in ('QUEUED', 'RUNNING') order by a.id for no key update;
  update fleet.actions a set status = 'SUCCEEDED', next_attempt_at = null, error_code = null, error = null,
    finished_at = now(), updated_at = now()
    where a.target = end_host.host_id and a.kind = 'terminate' and a.status in ('QUEUED', 'RUNNING');
  return query select * from fleet.hosts h where h.id = end_host.host_id;
end $$;

-- What a manager says of its agents: [{id, status, port, app, gone}]. Statuses only move forward; an agent that is
-- gone loses its row; a new one gets its row only while its host takes agents. With `full`, agents that are not listed
-- are gone too. Gives the host's agents afterwards; those the manager listed and that are not among them must stop.
create or replace function fleet.report_agents(host_id text, reports jsonb, is_full boolean, fence integer)
returns setof fleet.agents language plpgsql as $$
#variable_conflict use_column
declare
  host fleet.hosts;
  locked text[];
begin
  -- Refused aloud: an empty answer would mean that every agent must stop.
  perform fleet.demand_lease(report_agents.fence);
  select * into host from fleet.hosts h where h.id = report_agents.host_id for share;
  if not found then
    raise exception 'no host %', report_agents.host_id using errcode = '23514';
  end if;
  -- What is written below, and no more: a claim passes by what is locked.
  select array_agg(a.id) into locked from (select a.id from fleet.agents a
      left join jsonb_to_recordset(reports) as r (id text, status text, gone boolean) on r.id = a.id
    where a.host_id = host.id and ((is_full and r.id is null) or r.gone
      or fleet.agent_rank(r.status) > fleet.agent_rank(a.status))
    order by a.id for update of a) a;
  delete from fleet.agents a where a.id = any (locked)
    and (exists (select 1 from jsonb_to_recordset(reports) as r (id text, gone boolean) where r.id = a.id and r.gone)
      or (is_full and not exists (select 1 from jsonb_to_recordset(reports) as r (id text, gone boolean)
        where r.id = a.id and not coalesce(r.gone, false))));
  update fleet.agents a set status = r.status
    from jsonb_to_recordset(reports) as r (id text, status text)
    where r.id = a.id and a.id = any (locked) and r.status in ('CONNECTING', 'RUNNING', 'DYING')
      and fleet.agent_rank(r.status) > fleet.agent_rank(a.status)
      and (r.status = 'DYING' or a.status <> 'WAITING');
  if host.status in ('PRE_CONNECTION', 'ACTIVE') then
    insert into fleet.agents (id, host_id, region_id, app, port)
      select r.id, host.id, host.region_id, coalesce(r.app, 'default'), r.port
      from jsonb_to_recordset(reports) as r (id text, status text, app text, port integer, gone boolean)
      where r.status = 'WAITING' and not coalesce(r.gone, false)
        and not exists (select 1 from fleet.agents a where a.id = r.id)
      order by r.id
      on conflict (id) do nothing;
  end if;
  return query select * from fleet.agents a where a.host_id = host.id order by a.id;
end $$;

-- Store a turn. Gives the region's row with its new turn, or nothing when the region has moved on, the lease is not
-- ours, or the region's bounds would be passed. `plan`:
--   causes, inputs   jsonb, kept with each decision
--   decisions        [{place, kind, target, reason}]
--   actions          [{place, kind, target, params}]; the action bears its decision's id
--   hosts            [{id, place, image_id, version, instance_type, capacity}]: rows inserted as LAUNCHING
--   host_updates     [{id, place, from: [status], to, reason, idle}]; idle: only while no agent serves a user
--   agent_updates    [{id, from: [status], to}]
--   surge            how far max_hosts may be passed (0 but for roll-outs and replacements)
--   launch_failed    null or {code, message}: counts as a failed launch (see block_launches)
-- A plan of nothing but refusals that were the region's last words already only counts them again.
create or replace function fleet.commit_turn(region_id text, turn integer, fence integer, plan jsonb)
returns setof fleet.regions language plpgsql as $$
#variable_conflict use_column
declare
  region fleet.regions;
  item jsonb;
  hosts_after integer;
  last_turn integer;
  last_words text;
  repeated text[] := '{}';
  is_repeat boolean;
  busy_places integer[] := '{}';
  touched boolean;
begin
  if not fleet.lease_is_held(commit_turn.fence) then
    return;
  end if;
  select * into region from fleet.regions r where r.id = commit_turn.region_id for no key update;
  if not found or region.turn <> commit_turn.turn then
    return;
  end if;

  is_repeat := coalesce(jsonb_array_length(plan -> 'actions'), 0) + coalesce(jsonb_array_length(plan -> 'hosts'), 0)
    + coalesce(jsonb_array_length(plan -> 'host_updates'), 0) + coalesce(jsonb_array_length(plan -> 'agent_updates'), 0) = 0
    and coalesce(jsonb_typeof(plan -> 'launch_failed'), 'null') = 'null';
  for item in select * from jsonb_array_elements(coalesce(plan -> 'decisions', '[]')) loop
    exit when not is_repeat;
    -- One turn may say several things of one target: its last words are those of the last turn that spoke of it.
    select d.turn into last_turn from fleet.decisions d
      where d.region_id = region.id and d.kind = item ->> 'kind' and coalesce(d.target, '') = coalesce(item ->> 'target', '')
      order by d.turn desc limit 1;
    select d.id into last_words from fleet.decisions d
      where d.region_id = region.id and d.kind = item ->> 'kind' and coalesce(d.target, '') = coalesce(item ->> 'target', '')
        and d.turn = last_turn and d.reason = item ->> 'reason' limit 1;
    is_repeat := found and item ->> 'kind' in ('refuse', 'report');
    repeated := repeated || last_words;
  end loop;
  if is_repeat then
    update fleet.decisions d set repeats = d.repeats + 1, updated_at = now(), causes = coalesce(plan -> 'causes', '[]')
      where d.id = any (repeated);
    return next region;
    return;
  end if;

  if jsonb_array_length(coalesce(plan -> 'hosts', '[]')) > 0 then
    select count(*) + jsonb_array_length(plan -> 'hosts') into hosts_after
      from fleet.hosts h where h.region_id = region.id and h.status <> 'TERMINATED';
    if not region.enabled
        or hosts_after > region.max_hosts + least(coalesce((plan ->> 'surge')::integer, 0), region.max_surge_hosts) then
      return;
    end if;
  end if;

  -- All that the loops below and their triggers write, in the order of all (migration lock_order): no deadlock, nor,
  -- between the look at a host's agents and its drain, a new agent.
  perform 1 from fleet.images i
    where i.id in (select u ->> 'image_id' from jsonb_array_elements(coalesce(plan -> 'hosts', '[]')) u)
    order by i.id for key share;
  perform 1 from fleet.hosts h
    where h.id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'host_updates', '[]')) u)
    order by h.id for update;
  perform 1 from fleet.agents a
    where a.id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'agent_updates', '[]')) u)
      or a.host_id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'host_updates', '[]')) u
        where (u ->> 'idle')::boolean or u ->> 'to' in ('DRAINING', 'TERMINATING', 'TERMINATED'))
    order by a.id for update;
  perform 1 from fleet.backends b
    where b.host_id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'host_updates', '[]')) u
      where u ->> 'to' = 'TERMINATED')
    order by b.id for update;
  perform 1 from fleet.certificates c join fleet.backends b on b.id = c.backend_id
    where b.host_id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'host_updates', '[]')) u
      where u ->> 'to' = 'TERMINATED') and c.revoked_at is null and c.not_after > now()
    order by c.serial for no key update of c;
  for item in select * from jsonb_array_elements(coalesce(plan -> 'host_updates', '[]')) loop
    if (item ->> 'idle')::boolean then
      -- A claim holds the agent's row: after the lock above the host is idle for good, or it is not drained.
      touched := not exists (select 1 from fleet.agents a
        where a.host_id = item ->> 'id' and a.status in ('ALLOCATED', 'CONNECTING', 'RUNNING'));
    else
      touched := true;
    end if;
    if touched then
      update fleet.hosts h set status = item ->> 'to', reason = item ->> 'reason'
        where h.id = item ->> 'id' and h.region_id = region.id
          and item -> 'from' ? h.status and h.status <> item ->> 'to';
      touched := found;
    end if;
    if not touched then
      busy_places := busy_places || (item ->> 'place')::integer;
    end if;
  end loop;

  for item in select * from jsonb_array_elements(coalesce(plan -> 'agent_updates', '[]')) loop
    update fleet.agents a set status = item ->> 'to'
      where a.id = item ->> 'id' and a.region_id = region.id and item -> 'from' ? a.status;
    if not found then
      busy_places := busy_places || (item ->> 'place')::integer;
    end if;
  end loop;

  insert into fleet.decisions (id, region_id, turn, place, causes, kind, target, reason, inputs)
    select region.id || ':' || region.turn || '.' || d.place, region.id, region.turn, d.place,
      coalesce(plan -> 'causes', '[]'),
      case when d.place = any (busy_places) then 'refuse' else d.kind end, d.target,
      case when d.place = any (busy_places)
        then d.reason || ' (not done: ' || coalesce(d.target, 'it') || ' had changed by then)' else d.reason end,
      coalesce(plan -> 'inputs', '{}')
    from jsonb_to_recordset(coalesce(plan -> 'decisions', '[]')) as d (place integer, kind text, target text, reason text)
    on conflict (id) do nothing;

  insert into fleet.hosts (id, region_id, provider, launch_id, image_id, version, instance_type, capacity, reason)
    select h.id, region.id, region.provider, region.id || ':' || region.turn || '.' || h.place, h.image_id, h.version,
      coalesce(h.instance_type, ''), h.capacity, h.reason
    from jsonb_to_recordset(coalesce(plan -> 'hosts', '[]'))
      as h (id text, place integer, image_id text, version text, instance_type text, capacity integer, reason text);

  insert into fleet.actions (id, decision_id, region_id, kind, target, params, status, attempts, started_at)
    select region.id || ':' || region.turn || '.' || a.place, region.id || ':' || region.turn || '.' || a.place,
      region.id, a.kind, a.target, coalesce(a.params, '{}'), 'RUNNING', 1, now()
    from jsonb_to_recordset(coalesce(plan -> 'actions', '[]')) as a (place integer, kind text, target text, params jsonb)
    where a.place <> all (busy_places)
    on conflict (id) do nothing;

  if plan -> 'launch_failed' is not null and jsonb_typeof(plan -> 'launch_failed') = 'object' then
    perform fleet.block_launches(region.id, plan -> 'launch_failed' ->> 'code', plan -> 'launch_failed' ->> 'message');
  end if;
  return query update fleet.regions r set turn = r.turn + 1 where r.id = region.id returning r.*;
end $$;

-- As before, and: expired tokens, launched backends that have ended and certificates that have expired. The audit is never
-- forgotten.
create or replace function fleet.prune(days integer, fence integer) returns setof fleet.settings language plpgsql as $$
#variable_conflict use_column
declare
  horizon timestamptz := now() - make_interval(days => days);
  gone text[];
  ended text[];
begin
  if not fleet.lease_is_held(prune.fence) then
    return;
  end if;
  delete from fleet.changes c where c.created_at < now() - interval '1 hour';
  -- The end of a host's row writes its backend's.
  select array_agg(h.id) into gone from (select h.id from fleet.hosts h where h.status = 'TERMINATED' and h.updated_at < horizon
    order by h.id for update skip locked) h;
  perform 1 from fleet.backends b where b.host_id = any (gone) order by b.id for update;
  delete from fleet.hosts h where h.id = any (gone);
  -- A backend before its certificates. One that is in use right now is left to the next time.
  select array_agg(b.id) into ended from (select b.id from fleet.backends b
    where b.status = 'TERMINATED' and b.launch_id is not null and b.terminated_at < horizon
      and not exists (select 1 from fleet.hosts h where h.id = b.host_id and h.status <> 'TERMINATED')
      and not exists (select 1 from fleet.certificates c where c.backend_id = b.id and c.not_after > now())
    order by b.id for update skip locked) b;
  delete from fleet.certificates c where c.backend_id = any (ended);
  delete from fleet.backends b where b.id = any (ended);
  delete from fleet.certificates c where c.serial in
    (select c.serial from fleet.certificates c where c.not_after < horizon order by c.serial for update skip locked);
  delete from fleet.enrolment_tokens t where t.id in
    (select t.id from fleet.enrolment_tokens t where t.expires_at < now() - interval '1 hour' order by t.id for update skip locked);
  delete from fleet.actions a where a.id in (select a.id from fleet.actions a
    where a.status not in ('QUEUED', 'RUNNING') and a.created_at < horizon order by a.id for update skip locked);
  delete from fleet.decisions d where d.id in (select d.id from fleet.decisions d where d.updated_at < horizon
    and not exists (select 1 from fleet.actions a where a.decision_id = d.id) order by d.id for update skip locked);
  delete from fleet.assignments s where s.id in (select s.id from fleet.assignments s where s.requested_at < horizon
    and (s.ended_at is not null or s.outcome <> 'assigned') order by s.id for update skip locked);
  return query select * from fleet.settings;
end $$;
