-- As migration `interruptions` has it.
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
        or hosts_after > region.max_hosts
          + least(coalesce((plan ->> 'surge')::integer, 0), region.max_surge_hosts, fleet.leaving_hosts(region.id, plan -> 'hosts')) then
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

  insert into fleet.hosts (id, region_id, provider, launch_id, image_id, version, instance_type, capacity, reason, replaces)
    select h.id, region.id, region.provider, region.id || ':' || region.turn || '.' || h.place, h.image_id, h.version,
      coalesce(h.instance_type, ''), h.capacity, h.reason, h.replaces
    from jsonb_to_recordset(coalesce(plan -> 'hosts', '[]'))
      as h (id text, place integer, image_id text, version text, instance_type text, capacity integer, reason text, replaces text);

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

drop function if exists fleet.confirm_sweep;

-- As migration `defences` has it.
create or replace function fleet.note_region_change() returns trigger language plpgsql as $$
declare
  same fleet.regions;
begin
  if tg_op = 'UPDATE' then
    same := new;
    same.turn := old.turn;
    same.revision := old.revision;
    same.updated_at := old.updated_at;
    if same is not distinct from old then
      return null;
    end if;
  end if;
  insert into fleet.changes (table_name, row_id, region_id)
    values ('regions', coalesce(new.id, old.id), coalesce(new.id, old.id));
  return null;
end $$;
alter table fleet.regions drop column if exists blast_radius, drop column if exists endings, drop column if exists sweep_confirmed_until;
update fleet.settings set schema_version = 4, updated_at = now() where schema_version = 5;
