-- The functions as earlier migrations have them.
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
  return query update fleet.regions r set turn = r.turn + 1,
    endings = case jsonb_typeof(plan -> 'endings') when 'object' then plan -> 'endings' else r.endings end
    where r.id = region.id returning r.*;
end $$;

drop function if exists fleet.repeated_words(fleet.regions, jsonb);
drop function if exists fleet.lock_turn(fleet.regions, jsonb);
drop function if exists fleet.move_rows(fleet.regions, jsonb);
drop function if exists fleet.step_rollouts(fleet.regions, jsonb);
drop function if exists fleet.surge_allowed(fleet.regions, jsonb);
drop function if exists fleet.switch_rollouts(text, integer);
drop function if exists fleet.steer_rollout(text, text, text);
drop function if exists fleet.start_rollouts(jsonb, text, text);
drop function if exists fleet.open_rollout(text, jsonb, text);
drop function if exists fleet.lock_leading(jsonb);

create or replace function fleet.claim_agent(region_id text, fence integer, request jsonb)
returns setof fleet.assignments language plpgsql as $$
#variable_conflict use_column
declare
  answer fleet.assignments;
  region fleet.regions;
  chosen fleet.agents;
  waited_for text;
  host fleet.hosts;
  slot integer;
  is_known boolean;
begin
  perform pg_advisory_xact_lock(hashtextextended('muster/user/' || (request ->> 'user_id'), 0));
  select * into answer from fleet.assignments a
    where a.user_id = request ->> 'user_id' and a.idempotency_key = request ->> 'idempotency_key';
  is_known := found;
  if is_known and answer.outcome = 'assigned' then
    return next answer;
    return;
  end if;

  answer.id := coalesce(answer.id, gen_random_uuid()::text);
  answer.user_id := request ->> 'user_id';
  answer.idempotency_key := request ->> 'idempotency_key';
  answer.region_id := claim_agent.region_id;
  answer.demand_region_id := coalesce(request ->> 'demand_region_id', claim_agent.region_id);
  answer.version := request ->> 'version';
  answer.image_id := request ->> 'image_id';
  answer.requested_at := coalesce((request ->> 'requested_at')::timestamptz, now());
  answer.created_at := coalesce(answer.created_at, now());
  answer.updated_at := now();

  if not exists (select 1 from fleet.leases l where l.id = 'daemon' and l.fence = claim_agent.fence and l.expires_at > now()) then
    answer.outcome := 'not-active';
    return next answer;
    return;
  end if;
  select * into region from fleet.regions r where r.id = claim_agent.region_id;
  if not found or not region.enabled then
    answer.outcome := 'region-not-enabled';
    return next answer;
    return;
  end if;
  select min(s) into slot from generate_series(1, region.max_agents_per_user) s
    where not exists (select 1 from fleet.agents a where a.region_id = region.id and a.user_id = answer.user_id
      and a.user_slot = s and a.status in ('ALLOCATED', 'CONNECTING', 'RUNNING'));
  if slot is null then
    answer.outcome := 'user-already-active';
    return next answer;
    return;
  end if;

  -- A row that was locked only to find that it had changed stays locked until the (sub)transaction ends, so what finds
  -- nothing is rolled back: a claim that waits holds no agent, or claims and drains would wait for each other.
  begin
    select a.* into chosen
      from jsonb_array_elements_text(coalesce(request -> 'candidates', '[]')) with ordinality as c (id, place)
      join fleet.agents a on a.id = c.id and a.status = 'WAITING' and a.region_id = region.id
      join fleet.hosts h on h.id = a.host_id and h.status = 'ACTIVE' and h.image_id = answer.image_id
      order by c.place limit 1 for update of a skip locked;
    if not found then
      select a.* into chosen from fleet.agents a join fleet.hosts h on h.id = a.host_id
        where a.region_id = region.id and a.status = 'WAITING' and h.status = 'ACTIVE' and h.image_id = answer.image_id
          and not coalesce(request -> 'excluded_hosts', '[]') ? h.id
        limit 1 for update of a skip locked;
    end if;
    if not found then
      raise exception using errcode = 'MU000', message = 'no agent is free and unlocked';
    end if;
  exception when sqlstate 'MU000' then null;
  end;
  -- Those that were skipped may be locked by claims that fail or drains that are refused: wait for one at a time.
  while chosen.id is null loop
    select a.id into waited_for from fleet.agents a join fleet.hosts h on h.id = a.host_id
      where a.region_id = region.id and a.status = 'WAITING' and h.status = 'ACTIVE' and h.image_id = answer.image_id
        and not coalesce(request -> 'excluded_hosts', '[]') ? h.id
      order by a.id limit 1;
    exit when not found;
    begin
      select a.* into chosen from fleet.agents a join fleet.hosts h on h.id = a.host_id
        where a.id = waited_for and a.status = 'WAITING' and h.status = 'ACTIVE' for update of a;
      if not found then
        raise exception using errcode = 'MU000', message = 'it was taken or withdrawn';
      end if;
    exception when sqlstate 'MU000' then null;
    end;
  end loop;
  if chosen.id is null then
    answer.outcome := 'no-capacity';
    return next answer;
    return;
  end if;

  select * into host from fleet.hosts h where h.id = chosen.host_id;
  update fleet.agents a set status = 'ALLOCATED', user_id = answer.user_id, user_slot = slot,
    session_id = request ->> 'session_id' where a.id = chosen.id;
  answer.outcome := 'assigned';
  answer.host_id := host.id;
  answer.agent_id := chosen.id;
  answer.address := host.address;
  answer.port := chosen.port;
  answer.session_id := request ->> 'session_id';
  answer.assigned_at := now();
  answer.running_at := null;
  answer.ended_at := null;
  if is_known then
    update fleet.assignments a set (region_id, demand_region_id, version, image_id, host_id, agent_id, address, port,
        session_id, outcome, assigned_at, running_at, ended_at, updated_at)
      = (answer.region_id, answer.demand_region_id, answer.version, answer.image_id, answer.host_id, answer.agent_id,
        answer.address, answer.port, answer.session_id, answer.outcome, answer.assigned_at, null, null, now())
      where a.id = answer.id;
  else
    insert into fleet.assignments select answer.*;
  end if;
  return next answer;
end $$;

drop function if exists fleet.give_up_agent(text, text, integer, text);
create or replace function fleet.give_up_agent(assignment_id text, agent_id text, fence integer) returns setof fleet.assignments
language plpgsql as $$
#variable_conflict use_column
begin
  update fleet.agents a set status = 'DYING'
    where a.id = give_up_agent.agent_id and a.status in ('ALLOCATED', 'CONNECTING')
      and exists (select 1 from fleet.assignments s where s.id = assignment_id and s.agent_id = a.id and s.session_id = a.session_id);
  return query update fleet.assignments s set outcome = 'given-up', ended_at = coalesce(s.ended_at, now()), updated_at = now()
    where s.id = assignment_id and s.agent_id = give_up_agent.agent_id and s.outcome = 'assigned' returning s.*;
end $$;

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

create or replace function fleet.note_session() returns trigger language plpgsql as $$
begin
  if old.session_id is null then
    return null;
  end if;
  if tg_op = 'DELETE' or (new.status = 'DYING' and old.status <> 'DYING') then
    update fleet.assignments set ended_at = coalesce(ended_at, now()), updated_at = now()
      where agent_id = old.id and session_id = old.session_id and ended_at is null;
  elsif new.status = 'RUNNING' and old.status <> 'RUNNING' then
    update fleet.assignments set running_at = coalesce(running_at, now()), updated_at = now()
      where agent_id = old.id and session_id = old.session_id;
  end if;
  return null;
end $$;

create or replace function fleet.guard_image() returns trigger language plpgsql as $$
begin
  if new.id <> old.id or new.region_id <> old.region_id or new.image_id <> old.image_id or new.version <> old.version then
    raise exception 'image %: only its status changes; add a row for another image', old.id using errcode = '23514';
  end if;
  if new.status is distinct from old.status and (old.status, new.status) not in
      (('CANDIDATE', 'ACTIVE'), ('CANDIDATE', 'RETIRED'), ('ACTIVE', 'RETIRED')) then
    raise exception 'image % may not go from % to %', old.id, old.status, new.status using errcode = '23514';
  end if;
  new.revision := old.revision + 1;
  new.updated_at := now();
  return new;
end $$;

drop function if exists fleet.is_bound(fleet.rollouts);
drop table if exists fleet.rollouts;
drop function if exists fleet.follow_rollout();
drop function if exists fleet.guard_rollout();
drop function if exists fleet.rollout_transition_is_legal(text, text);
drop table if exists fleet.versions;
drop sequence if exists fleet.version_revisions;
drop function if exists fleet.note_version_change();
drop function if exists fleet.guard_version();
drop index if exists fleet.hosts_image;
drop index if exists fleet.assignments_rollout;
alter table fleet.assignments drop column if exists failure, drop column if exists arm, drop column if exists rollout_id;
alter table fleet.agents drop column if exists failure;
alter table fleet.hosts drop column if exists notify_sessions;
alter table fleet.regions drop column if exists rollout;
update fleet.settings set schema_version = 5, updated_at = now() where schema_version = 6;
