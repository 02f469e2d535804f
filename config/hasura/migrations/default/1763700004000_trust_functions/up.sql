-- What must hold together about backends is one function each (docs/design/backends.md). No row is a no; where a no is for
-- ever, a lost lease is refused aloud instead. A no that must be on record is no exception: that would roll its record back.
-- Locks: region, host, agents, backend, certificates, tokens, in this order.

create or replace function fleet.certificate_is_live(certificate fleet.certificates) returns boolean language sql stable as $$
  select (certificate).revoked_at is null and (certificate).not_after > now()
    and coalesce((certificate).retires_at > now(), true)
$$;

-- A backend, locked after its host; a row of nulls when there is none.
create or replace function fleet.lock_backend(backend_id text) returns fleet.backends language plpgsql as $$
declare
  seen text;
  backend fleet.backends;
begin
  loop
    begin
      select b.host_id into seen from fleet.backends b where b.id = lock_backend.backend_id;
      perform 1 from fleet.hosts h where h.id = seen for no key update;
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

-- A launch's token, before the provider is asked; again at a repeat, with a later end.
create or replace function fleet.store_launch_token(launch_id text, token_id text, secret_hash text, uses integer,
  lifetime_s integer, fence integer) returns setof fleet.enrolment_tokens
language plpgsql as $$
#variable_conflict use_column
begin
  if not fleet.lease_is_held(store_launch_token.fence) then
    return;
  end if;
  if not exists (select 1 from fleet.enrolment_tokens t where t.id = token_id) then
    perform fleet.note_act('muster', 'token-created', null, null, jsonb_build_object('token_id', token_id,
      'launch_id', store_launch_token.launch_id, 'uses', store_launch_token.uses, 'lifetime_s', lifetime_s));
  end if;
  return query insert into fleet.enrolment_tokens as t (id, secret_hash, launch_id, uses, expires_at, created_by)
    values (token_id, store_launch_token.secret_hash, store_launch_token.launch_id, store_launch_token.uses,
      now() + make_interval(secs => lifetime_s), 'muster')
    on conflict (id) do update set expires_at = greatest(t.expires_at, excluded.expires_at), updated_at = now()
      where t.launch_id = excluded.launch_id and t.secret_hash = excluded.secret_hash
    returning t.*;
end $$;

-- A token by hand, for a backend that may connect; redeemable once.
create or replace function fleet.create_token(backend_id text, token_id text, secret_hash text, lifetime_s integer, actor text)
returns setof fleet.enrolment_tokens language plpgsql as $$
#variable_conflict use_column
begin
  perform 1 from fleet.backends b where b.id = create_token.backend_id and b.status = 'ENABLED' for no key update;
  if not found then
    return;
  end if;
  perform fleet.note_act(create_token.actor, 'token-created', create_token.backend_id, null,
    jsonb_build_object('token_id', token_id, 'lifetime_s', lifetime_s));
  return query insert into fleet.enrolment_tokens as t (id, secret_hash, backend_id, expires_at, created_by)
    values (token_id, create_token.secret_hash, create_token.backend_id, now() + make_interval(secs => lifetime_s),
      left(create_token.actor, 200))
    returning t.*;
end $$;

-- A good token with another key than it was redeemed for: stolen, or its owner lost the disk. On record once a minute.
create or replace function fleet.alarm_token(token_id text, backend_id text, details jsonb) returns void language plpgsql as $$
#variable_conflict use_column
begin
  update fleet.enrolment_tokens t set alarmed_at = now()
    where t.id = alarm_token.token_id and coalesce(t.alarmed_at < now() - interval '1 minute', true);
  if found then
    perform fleet.note_act('token:' || alarm_token.token_id, 'token-reused', alarm_token.backend_id, null, alarm_token.details);
  end if;
end $$;

-- The answer to a key that has redeemed may have been lost, or the daemon with it: for 5 minutes, and for as long as the
-- key has no certificate, it is given again.
create or replace function fleet.may_ask_again(backend fleet.backends) returns boolean language sql stable as $$
  select (backend).enrolled_at > now() - interval '5 minutes'
    or not exists (select 1 from fleet.certificates c where c.spki_hash = (backend).enrolled_spki_hash)
$$;

-- One machine and one public key for one host of a launch, or one key for a backend.
create or replace function fleet.redeem_token(token_id text, secret_hash text, spki_hash text, cloud_id text, address text,
  fence integer) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  token fleet.enrolment_tokens;
begin
  perform fleet.demand_lease(redeem_token.fence);
  select * into token from fleet.enrolment_tokens t
    where t.id = redeem_token.token_id and t.secret_hash = redeem_token.secret_hash and t.expires_at > now();
  if not found then
    return;
  end if;
  if token.launch_id is not null then
    return query select * from fleet.redeem_launch_token(token, redeem_token.spki_hash, redeem_token.cloud_id, redeem_token.address);
  else
    return query select * from fleet.redeem_backend_token(token, redeem_token.spki_hash, redeem_token.cloud_id, redeem_token.address);
  end if;
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
  select * into backend from fleet.backends b where b.id = host.id for no key update;
  if found then
    if backend.enrolled_spki_hash = redeem_launch_token.spki_hash then
      if backend.status = 'ENABLED' and fleet.may_ask_again(backend) then
        return next backend;
      end if;
      return;
    end if;
    perform fleet.alarm_token(token.id, backend.id, jsonb_build_object('token_id', token.id,
      'cloud_id', redeem_launch_token.cloud_id, 'spki_hash', redeem_launch_token.spki_hash));
    update fleet.hosts h set status = 'DRAINING', reason = 'its enrolment token was used with another key'
      where h.id = host.id and h.status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE');
    return;
  end if;
  -- As it is now: another host of the launch may just have used it.
  select * into token from fleet.enrolment_tokens t where t.id = token.id for no key update;
  if not found then
    return;
  end if;
  -- One machine more than were launched: one of those that came before it was none of ours.
  if token.used >= token.uses then
    perform fleet.alarm_token(token.id, null, jsonb_build_object('token_id', token.id,
      'cloud_id', redeem_launch_token.cloud_id, 'spki_hash', redeem_launch_token.spki_hash));
    update fleet.hosts h set status = 'DRAINING', reason = 'its enrolment token was used by one machine too many'
      where h.launch_id = token.launch_id and h.status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE')
        and exists (select 1 from fleet.backends b where b.host_id = h.id and b.enrolled_token_id = token.id);
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
  select * into backend from fleet.lock_backend(token.backend_id);
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
    perform fleet.alarm_token(token.id, backend.id, jsonb_build_object('token_id', token.id,
      'cloud_id', redeem_backend_token.cloud_id, 'spki_hash', redeem_backend_token.spki_hash));
    update fleet.hosts h set status = 'DRAINING', reason = 'its enrolment token was used with another key'
      where h.id = backend.host_id and h.status in ('LAUNCHING', 'PRE_CONNECTION', 'ACTIVE', 'UNRESPONSIVE');
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

-- The certificate under its backend: {serial, spki_hash, issuer, pem, not_before, not_after, key_made_here}. Gives the one
-- that stands afterwards: this one, or the one that its key got within 5 minutes. `renews`: the serial that it follows,
-- which must be live; while a backend is being drained its certificate may be renewed, so that a long session does not lose
-- its manager. A backend is renewed once a minute, or a tenth of a shorter life, and an earlier renewal of the same one
-- that nobody has used retires: whoever has a key gets one certificate more by it, not any number.
create or replace function fleet.store_certificate(backend_id text, certificate jsonb, renews text, actor text)
returns setof fleet.certificates language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
  known fleet.certificates;
begin
  select * into backend from fleet.backends b where b.id = store_certificate.backend_id for no key update;
  if not found or not (backend.status = 'ENABLED' or (backend.status = 'TERMINATING' and store_certificate.renews is not null)) then
    return;
  end if;
  if store_certificate.renews is not null and not exists (select 1 from fleet.certificates c
      where c.serial = store_certificate.renews and c.backend_id = backend.id and fleet.certificate_is_live(c)) then
    return;
  end if;
  select * into known from fleet.certificates c where c.spki_hash = certificate ->> 'spki_hash';
  if found then
    if known.backend_id = backend.id and known.created_at > now() - interval '5 minutes' and fleet.certificate_is_live(known) then
      return next known;
    end if;
    return;
  end if;
  -- A key that another backend has enrolled, or gets at this moment, is none of this one's.
  if exists (select 1 from fleet.backends b where b.enrolled_spki_hash = certificate ->> 'spki_hash' and b.id <> backend.id) then
    return;
  end if;
  if store_certificate.renews is not null and exists (select 1 from fleet.certificates c
      where c.backend_id = backend.id and c.renews is not null
        and c.created_at > now() - least(interval '1 minute', (c.not_after - c.not_before) / 10)) then
    raise exception 'backend %: its certificate was renewed less than a minute ago: try again in a minute', backend.id
      using errcode = '23514';
  end if;
  insert into fleet.certificates (serial, backend_id, spki_hash, renews, issuer, pem, not_before, not_after)
    values (certificate ->> 'serial', backend.id, certificate ->> 'spki_hash', store_certificate.renews,
      certificate ->> 'issuer', certificate ->> 'pem',
      (certificate ->> 'not_before')::timestamptz, (certificate ->> 'not_after')::timestamptz)
    on conflict do nothing returning * into known;
  if not found then
    return;
  end if;
  update fleet.certificates c set retires_at = now()
    where c.backend_id = backend.id and c.renews = known.renews and c.serial <> known.serial
      and c.first_used_at is null and fleet.certificate_is_live(c);
  perform fleet.note_act(store_certificate.actor, 'certificate-issued', backend.id, known.serial,
    jsonb_build_object('spki_hash', known.spki_hash, 'issuer', known.issuer, 'not_after', known.not_after,
      'renews', known.renews, 'key_made_here', coalesce((certificate ->> 'key_made_here')::boolean, false)));
  return next known;
end $$;

-- A host for a backend that was made by hand, in its region, which the caller has locked; null when it gets none: the region
-- is disabled or full, or has no ACTIVE image.
create or replace function fleet.give_host(backend fleet.backends, capacity integer) returns text language plpgsql as $$
#variable_conflict use_column
declare
  given text;
begin
  insert into fleet.hosts (id, region_id, provider, cloud_id, image_id, version, capacity, status, reason)
    select gen_random_uuid()::text, r.id, r.provider, 'backend:' || backend.id, i.id, i.version, give_host.capacity,
      'LAUNCHING', 'its backend connected'
    from fleet.regions r join fleet.images i on i.region_id = r.id and i.status = 'ACTIVE'
    where r.id = backend.region_id and r.enabled
      and r.max_hosts > (select count(*) from fleet.hosts h where h.region_id = r.id and h.status <> 'TERMINATED')
    returning id into given;
  if not found then
    return null;
  end if;
  update fleet.hosts h set status = 'PRE_CONNECTION' where h.id = given;
  update fleet.backends b set host_id = given where b.id = backend.id;
  perform fleet.note_act('muster', 'host-given', backend.id, null,
    jsonb_build_object('host_id', given, 'region_id', backend.region_id));
  return given;
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
    for no key update of r;
  select * into backend from fleet.lock_backend(backend.id);
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
begin
  if fleet.lease_is_held(disconnect_backends.fence) then
    perform 1 from fleet.backends b where b.connected_at is not null
      and (jsonb_typeof(coalesce(backend_ids, 'null')) = 'null' or backend_ids ? b.id) order by b.id for no key update;
    update fleet.backends b set connected_at = null, connected_serial = null
      where b.connected_at is not null and (jsonb_typeof(coalesce(backend_ids, 'null')) = 'null' or backend_ids ? b.id);
  end if;
  return;
end $$;

-- When backends were last heard, flushed at most once a minute: {backend id: time}. No revision, no change rows.
create or replace function fleet.flush_backends(beats jsonb, fence integer) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
begin
  if fleet.lease_is_held(flush_backends.fence) then
    perform 1 from fleet.backends b where beats ? b.id order by b.id for no key update;
    update fleet.backends b set last_seen_at = t.value::timestamptz
      from jsonb_each_text(beats) as t
      where b.id = t.key and (b.last_seen_at is null or b.last_seen_at < t.value::timestamptz);
  end if;
  return;
end $$;

-- What a manager says of its platform, in hex.
create or replace function fleet.report_info(backend_id text, info text, fence integer) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
begin
  if not fleet.lease_is_held(report_info.fence) then
    return;
  end if;
  return query update fleet.backends b set info = decode(report_info.info, 'hex'), info_at = now()
    where b.id = report_info.backend_id returning b.*;
end $$;

-- {name, description, address, region_id}
create or replace function fleet.create_backend(backend jsonb, actor text) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  made fleet.backends;
begin
  insert into fleet.backends (name, description, address, address_is_given, region_id)
    values (create_backend.backend ->> 'name', coalesce(create_backend.backend ->> 'description', ''),
      coalesce(create_backend.backend ->> 'address', ''), coalesce(create_backend.backend ->> 'address', '') <> '',
      create_backend.backend ->> 'region_id')
    returning * into made;
  perform fleet.note_act(create_backend.actor, 'backend-created', made.id, null, create_backend.backend);
  return next made;
end $$;

-- What is to change: {name, description, address}. An address that is given counts from now on; an empty one leaves it to
-- the manager again.
create or replace function fleet.update_backend(id text, changes jsonb, actor text) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
begin
  select * into backend from fleet.lock_backend(update_backend.id);
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
  revoked text[];
begin
  select * into certificate from fleet.certificates c where c.serial = revoke_certificate.serial;
  if not found then
    return;
  end if;
  select * into backend from fleet.lock_backend(certificate.backend_id);
  was_live := exists (select 1 from fleet.certificates c where c.backend_id = backend.id and fleet.certificate_is_live(c));
  with recursive lost (serial) as (
    select revoke_certificate.serial
    union
    select c.serial from lost l join fleet.certificates c on c.renews = l.serial
      where revoke_certificate.reason <> 'superseded'
  ), ended as (
    update fleet.certificates c set revoked_at = now(), revoke_reason = revoke_certificate.reason
      from lost l where c.serial = l.serial and c.revoked_at is null returning c.serial, c.created_at
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

-- `agents`: kill (it is TERMINATED and its host ends) or drain (it is TERMINATING until its host has ended). Without a host
-- there is nothing to drain. The host is fenced by a trigger, in the same transaction.
create or replace function fleet.terminate_backend(id text, reason text, agents text, actor text) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
  becomes text := 'TERMINATED';
begin
  select * into backend from fleet.lock_backend(terminate_backend.id);
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

-- A launched backend whose host has ended, or is to end, stays terminated: no row.
create or replace function fleet.enable_backend(id text, actor text) returns setof fleet.backends language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
begin
  select * into backend from fleet.lock_backend(enable_backend.id);
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

-- Not while it is connected or its host stands, unless by force. A trigger fences its host and revokes its certificates, which stay for the
-- revocation list; its tokens go with it.
create or replace function fleet.delete_backend(id text, force boolean, actor text) returns setof fleet.backends
language plpgsql as $$
#variable_conflict use_column
declare
  backend fleet.backends;
begin
  select * into backend from fleet.lock_backend(delete_backend.id);
  if backend.id is null or (not delete_backend.force and (backend.connected_at is not null
      or exists (select 1 from fleet.hosts h where h.id = backend.host_id and h.status <> 'TERMINATED'))) then
    return;
  end if;
  perform fleet.note_act(delete_backend.actor, 'backend-deleted', backend.id, backend.connected_serial,
    jsonb_build_object('name', backend.name, 'force', delete_backend.force, 'host_id', backend.host_id));
  delete from fleet.backends b where b.id = backend.id;
  return next backend;
end $$;

-- As before, and: expired tokens, launched backends that have ended and certificates that have expired. The audit is never
-- forgotten.
create or replace function fleet.prune(days integer, fence integer) returns setof fleet.settings language plpgsql as $$
#variable_conflict use_column
declare
  horizon timestamptz := now() - make_interval(days => days);
  ended text[];
begin
  if not fleet.lease_is_held(prune.fence) then
    return;
  end if;
  delete from fleet.changes c where c.created_at < now() - interval '1 hour';
  -- The end of a host's row writes its backend's: both are locked in order of id, as all who lock several.
  perform 1 from fleet.hosts h where h.status = 'TERMINATED' and h.updated_at < horizon order by h.id for update;
  perform 1 from fleet.backends b where b.host_id in
    (select h.id from fleet.hosts h where h.status = 'TERMINATED' and h.updated_at < horizon) order by b.id for no key update;
  delete from fleet.hosts h where h.status = 'TERMINATED' and h.updated_at < horizon;
  delete from fleet.actions a where a.status not in ('QUEUED', 'RUNNING') and a.created_at < horizon;
  delete from fleet.decisions d where d.updated_at < horizon
    and not exists (select 1 from fleet.actions a where a.decision_id = d.id);
  delete from fleet.assignments s where s.requested_at < horizon
    and (s.ended_at is not null or s.outcome <> 'assigned');
  -- A backend before its certificates. One that is in use right now is left to the next time.
  select array_agg(b.id) into ended from (select b.id from fleet.backends b
    where b.status = 'TERMINATED' and b.launch_id is not null and b.terminated_at < horizon
      and not exists (select 1 from fleet.hosts h where h.id = b.host_id and h.status <> 'TERMINATED')
      and not exists (select 1 from fleet.certificates c where c.backend_id = b.id and c.not_after > now())
    order by b.id for update skip locked) b;
  delete from fleet.certificates c where c.backend_id = any (ended);
  delete from fleet.backends b where b.id = any (ended);
  delete from fleet.certificates c where c.not_after < horizon;
  delete from fleet.enrolment_tokens t where t.expires_at < now() - interval '1 hour';
  return query select * from fleet.settings;
end $$;
