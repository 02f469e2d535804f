-- What is asked of a provider in one call is one offering and one action (docs/design/offerings.md). A launch keeps its
-- id L for good; its calls are the actions L, L~2, L~3, …, whose number is the attempt.
-- Locks are taken in the order action, region, hosts.

-- A provider may have several pools in one place: aws/us-east-1/gpu.
alter table fleet.regions drop constraint if exists regions_id_check;
alter table fleet.regions add constraint regions_id_check check (id ~ '^[a-z0-9-]+/[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?$');
-- What the provider's machines are like; the provider parses it.
alter table fleet.regions add column if not exists provider_options jsonb not null default '{}';
alter table fleet.regions drop constraint if exists regions_provider_options_check;
alter table fleet.regions add constraint regions_provider_options_check check (jsonb_typeof(provider_options) = 'object');
-- null: as many as the instance type holds. The smallest of the region's types is what a plan counts by.
alter table fleet.regions alter column agents_per_host drop not null;
alter table fleet.regions alter column agents_per_host drop default;
alter table fleet.regions add column if not exists discovered_agents integer check (discovered_agents between 1 and 1000);

alter table fleet.hosts add column if not exists zone text not null default '';
alter table fleet.hosts add column if not exists lifecycle text not null default 'on-demand' check (lifecycle in ('on-demand', 'spot'));

-- Of a launch's call. The names of regions hold no tilde.
alter table fleet.actions add column if not exists launch_id text
  generated always as (case when kind = 'launch' then split_part(id, '~', 1) end) stored;
alter table fleet.actions add column if not exists attempt integer
  generated always as (case when kind = 'launch' then coalesce(nullif(split_part(id, '~', 2), '')::integer, 1) end) stored;
alter table fleet.actions add column if not exists offering jsonb;
-- The exact request, as the provider resolved it; it holds no secret.
alter table fleet.actions add column if not exists request jsonb;
-- A call is under way, or its answer was lost.
alter table fleet.actions add column if not exists is_calling boolean not null default false;
-- An earlier call may have been carried out.
alter table fleet.actions add column if not exists is_repeat boolean not null default false;
create index if not exists actions_launch on fleet.actions (launch_id) where launch_id is not null;

-- What the provider has said no to, and until when it is not asked for.
create table if not exists fleet.blocked_offerings (
  id text primary key,
  provider text not null,
  region_id text not null references fleet.regions (id) on delete cascade,
  instance_type text not null,
  zone text not null default '',
  lifecycle text not null check (lifecycle in ('on-demand', 'spot')),
  code text not null,
  reason text not null,
  until timestamptz not null,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint blocked_offerings_offering unique (region_id, instance_type, zone, lifecycle)
);

create or replace function fleet.guard_blocked_offering() returns trigger language plpgsql as $$
begin
  if (new.id, new.region_id, new.instance_type, new.zone, new.lifecycle)
      is distinct from (old.id, old.region_id, old.instance_type, old.zone, old.lifecycle) then
    raise exception 'blocked offering %: only its code, reason and end change', old.id using errcode = '23514';
  end if;
  new.revision := old.revision + 1;
  new.updated_at := now();
  return new;
end $$;
create or replace trigger guard before update on fleet.blocked_offerings
  for each row execute function fleet.guard_blocked_offering();
create or replace trigger note_change after insert or update or delete on fleet.blocked_offerings
  for each row execute function fleet.note_change();

-- Not to be asked for again for `seconds`. What has ended long ago is forgotten on the way.
create or replace function fleet.block_offering(action fleet.actions, code text, message text, seconds integer) returns void
language plpgsql as $$
#variable_conflict use_column
declare
  asked jsonb := action.offering;
begin
  if asked is null or coalesce(seconds, 0) <= 0 then
    return;
  end if;
  delete from fleet.blocked_offerings b where b.id in (select o.id from fleet.blocked_offerings o
    where o.region_id = action.region_id and o.until < now() - interval '1 day' order by o.id for update skip locked);
  insert into fleet.blocked_offerings as b (id, provider, region_id, instance_type, zone, lifecycle, code, reason, until)
    select concat_ws('|', r.id, asked ->> 'instanceType', asked ->> 'zone', asked ->> 'lifecycle'), r.provider, r.id,
      asked ->> 'instanceType', asked ->> 'zone', asked ->> 'lifecycle', block_offering.code, coalesce(message, code),
      now() + make_interval(secs => seconds)
    from fleet.regions r where r.id = action.region_id
    on conflict (id) do update set code = excluded.code, reason = excluded.reason, until = greatest(b.until, excluded.until);
end $$;

-- The end of a launch's rows: the machines are bound, rows without one end. Called with the region and action locked.
create or replace function fleet.end_launch(launch_id text, cloud_ids jsonb, message text) returns void
language plpgsql as $$
#variable_conflict use_column
begin
  perform fleet.bind_launch(end_launch.launch_id, coalesce(cloud_ids, '[]'));
  update fleet.hosts h set status = 'TERMINATED', reason = coalesce(message, 'not launched')
    where h.launch_id = end_launch.launch_id and h.cloud_id is null and h.status in ('LAUNCHING', 'TERMINATING');
  update fleet.hosts h set status = 'TERMINATING' where h.launch_id = end_launch.launch_id and h.cloud_id is null and h.status = 'DRAINING';
  update fleet.hosts h set status = 'TERMINATED' where h.launch_id = end_launch.launch_id and h.cloud_id is null and h.status = 'TERMINATING';
end $$;

-- Store one call of a launch, and the token that its machines enrol with ({id, secret_hash, uses, lifetime_s}), before
-- the call is made: the offering and the request that stand there already win, and the token lives from now. The
-- launch's rows learn what they will be. Gives the action: RUNNING, the call may be made, and is_repeat says whether it may have been
-- made before; CANCELLED, nobody wants its hosts any more, and nothing was ever sent. No row: it had ended, or the lease
-- is not ours.
create or replace function fleet.begin_call(action_id text, fence integer, offering jsonb, request jsonb, token jsonb)
returns setof fleet.actions language plpgsql as $$
#variable_conflict use_column
declare
  action fleet.actions;
  region fleet.regions;
begin
  if not fleet.lease_is_held(begin_call.fence) then
    return;
  end if;
  select * into action from fleet.actions a where a.id = begin_call.action_id for update;
  if not found or action.kind <> 'launch' or action.status not in ('QUEUED', 'RUNNING') then
    return;
  end if;
  perform 1 from fleet.hosts h where h.launch_id = action.launch_id order by h.id for update;
  if not action.is_calling and not action.is_repeat
      and not exists (select 1 from fleet.hosts h where h.launch_id = action.launch_id and h.status = 'LAUNCHING') then
    perform fleet.end_launch(action.launch_id, '[]', null);
    return query update fleet.actions a set status = 'CANCELLED', error = 'its hosts are not wanted any more',
      next_attempt_at = null, finished_at = now(), updated_at = now() where a.id = action.id returning a.*;
    return;
  end if;
  -- Machines dial as soon as they run. A token of that name that is another's: no call.
  perform 1 from fleet.store_launch_token(action.launch_id, token ->> 'id', token ->> 'secret_hash',
    (token ->> 'uses')::integer, (token ->> 'lifetime_s')::integer, begin_call.fence);
  if not found then
    return;
  end if;
  if action.request is null then
    select * into region from fleet.regions r where r.id = action.region_id;
    action.offering := coalesce(action.offering, begin_call.offering);
    update fleet.hosts h set instance_type = action.offering ->> 'instanceType', zone = action.offering ->> 'zone',
      lifecycle = action.offering ->> 'lifecycle',
      capacity = coalesce(region.agents_per_host, (action.offering ->> 'agents')::integer, h.capacity)
      where h.launch_id = action.launch_id and h.cloud_id is null and h.status <> 'TERMINATED';
  end if;
  return query update fleet.actions a set offering = action.offering, request = coalesce(a.request, begin_call.request),
    is_repeat = a.is_repeat or a.is_calling, is_calling = true, updated_at = now()
    where a.id = action.id returning a.*;
end $$;

-- A call was surely not carried out: the next one is no repeat for its sake.
create or replace function fleet.settle_call(action_id text, fence integer) returns setof fleet.actions
language plpgsql as $$
#variable_conflict use_column
begin
  if fleet.lease_is_held(settle_call.fence) then
    return query update fleet.actions a set is_calling = false, updated_at = now()
      where a.id = settle_call.action_id and a.status in ('QUEUED', 'RUNNING') returning a.*;
  end if;
end $$;

-- Each refusal, of all of a call or of part of it, is in the decision log; `upcoming` is the offering that comes next.
create or replace function fleet.log_refusal(action fleet.actions, code text, message text, upcoming jsonb) returns void
language sql as $$
  insert into fleet.decisions (id, region_id, turn, place, kind, target, reason, inputs)
    select action.id || ':refused', action.region_id, d.turn, d.place, 'refuse', action.launch_id,
      left(concat_ws(': ', nullif(concat_ws(' ', action.offering ->> 'instanceType', nullif(action.offering ->> 'zone', ''),
          action.offering ->> 'lifecycle'), ''), log_refusal.code, log_refusal.message)
        || coalesce('; next: ' || nullif(concat_ws(' ', upcoming ->> 'instanceType', nullif(upcoming ->> 'zone', ''),
          upcoming ->> 'lifecycle'), ''), ''), 2000),
      jsonb_build_object('offering', action.offering, 'code', log_refusal.code, 'attempt', action.attempt)
    from fleet.decisions d where d.id = action.decision_id
    on conflict (id) do nothing
$$;

-- The provider said no for certain: this call ends, its offering is blocked for `block_s` seconds, the refusal is in the
-- decision log, and the next call (of `next_offering`) is stored; without one the launch ends. Gives the ended action
-- and, when there is one, the next; nothing when it had ended already, or the lease is not ours.
create or replace function fleet.refuse_call(action_id text, fence integer, code text, message text, block_s integer, next_offering jsonb)
returns setof fleet.actions language plpgsql as $$
#variable_conflict use_column
declare
  action fleet.actions;
  is_wanted boolean;
  upcoming jsonb := nullif(next_offering, 'null');
  next_id text;
begin
  if not fleet.lease_is_held(refuse_call.fence) then
    return;
  end if;
  select * into action from fleet.actions a where a.id = refuse_call.action_id for update;
  if not found or action.kind <> 'launch' or action.status not in ('QUEUED', 'RUNNING') then
    return;
  end if;
  perform 1 from fleet.regions r where r.id = action.region_id for no key update;
  perform 1 from fleet.hosts h where h.launch_id = action.launch_id order by h.id for update;
  is_wanted := exists (select 1 from fleet.hosts h where h.launch_id = action.launch_id and h.status = 'LAUNCHING');
  perform fleet.block_offering(action, refuse_call.code, refuse_call.message, block_s);
  perform fleet.log_refusal(action, refuse_call.code, refuse_call.message, upcoming);
  return query update fleet.actions a set status = 'FAILED', error_code = refuse_call.code, error = refuse_call.message,
    is_calling = false, next_attempt_at = null, finished_at = now(), updated_at = now() where a.id = action.id returning a.*;
  if upcoming is not null and is_wanted then
    next_id := action.launch_id || '~' || (action.attempt + 1);
    return query insert into fleet.actions as a (id, decision_id, region_id, kind, params, status, attempts, started_at, offering)
      values (next_id, action.decision_id, action.region_id, 'launch', action.params, 'RUNNING', 1, now(), upcoming)
      returning a.*;
    return;
  end if;
  perform fleet.end_launch(action.launch_id, '[]', refuse_call.message);
  if upcoming is null then
    perform fleet.hold_launches(action.region_id, refuse_call.code, refuse_call.message, null);
  end if;
end $$;

-- block_launches, and not before `until` either: when every offering is blocked, that is when the first one is free. The
-- caller counted by its own clock, from before a block was stored: the blocks' own ends say it exactly.
create or replace function fleet.hold_launches(region_id text, code text, message text, until timestamptz) returns void
language plpgsql as $$
#variable_conflict use_column
begin
  perform fleet.block_launches(hold_launches.region_id, hold_launches.code, hold_launches.message);
  update fleet.regions r set launch_blocked_until = greatest(r.launch_blocked_until, hold_launches.until,
      (select min(b.until) from fleet.blocked_offerings b where b.region_id = r.id and b.until > now()))
    where r.id = hold_launches.region_id and hold_launches.until is not null;
end $$;

-- The end of a launch. `result`: {cloud_ids: [text], code, message, block_s, until}; fewer machines than rows is a
-- partial launch: the rows left over end here and the shortfall is decided again. With block_s the call's offering is
-- blocked for so many seconds. With a code, and no machine or no block, the region's launches are held back (until at
-- least `until`).
create or replace function fleet.finish_launch(action_id text, fence integer, result jsonb) returns setof fleet.actions
language plpgsql as $$
#variable_conflict use_column
declare
  action fleet.actions;
  is_partial boolean := jsonb_array_length(coalesce(result -> 'cloud_ids', '[]')) > 0;
begin
  if not fleet.lease_is_held(finish_launch.fence) then
    return;
  end if;
  select * into action from fleet.actions a where a.id = finish_launch.action_id for update;
  if not found or action.status not in ('QUEUED', 'RUNNING') then
    return;
  end if;
  -- A region before its hosts, as commit_turn locks them.
  perform 1 from fleet.regions r where r.id = action.region_id and result ->> 'code' is not null for no key update;
  perform fleet.end_launch(action.launch_id, result -> 'cloud_ids', result ->> 'message');
  if result ->> 'code' is not null then
    perform fleet.log_refusal(action, result ->> 'code', result ->> 'message', null);
    perform fleet.block_offering(action, result ->> 'code', result ->> 'message', (result ->> 'block_s')::integer);
    if not (is_partial and coalesce((result ->> 'block_s')::integer, 0) > 0) then
      perform fleet.hold_launches(action.region_id, result ->> 'code', result ->> 'message', (result ->> 'until')::timestamptz);
    end if;
  end if;
  return query update fleet.actions a
    set status = case when is_partial then 'SUCCEEDED' else 'FAILED' end, is_calling = false,
      error_code = result ->> 'code', error = result ->> 'message', next_attempt_at = null, finished_at = now(), updated_at = now()
    where a.id = action.id returning a.*;
end $$;

-- How many agents the smallest of the region's machines holds, as its provider says; or, without a number, why that is
-- not known.
create or replace function fleet.store_discovery(region_id text, fence integer, agents integer, code text, message text)
returns setof fleet.regions language plpgsql as $$
#variable_conflict use_column
begin
  if not fleet.lease_is_held(store_discovery.fence) then
    return;
  end if;
  if agents is not null then
    update fleet.regions r set discovered_agents = agents,
      launch_error_code = case when r.launch_failures > 0 then r.launch_error_code end,
      launch_error = case when r.launch_failures > 0 then r.launch_error end
      where r.id = store_discovery.region_id and r.discovered_agents is distinct from agents;
  else
    update fleet.regions r set launch_error_code = code, launch_error = message
      where r.id = store_discovery.region_id and r.discovered_agents is null
        and (r.launch_error_code, r.launch_error) is distinct from (code, message);
  end if;
  return query select * from fleet.regions r where r.id = store_discovery.region_id;
end $$;

update fleet.settings set schema_version = 3, updated_at = now() where schema_version < 3;
