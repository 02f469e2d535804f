-- What must hold together is one function: in Hasura a guarded update of zero rows does not stop the next root field
-- of the same request. Each is exposed as a mutation (metadata/databases/default/functions), takes scalars and jsonb
-- only, and returns rows of a tracked table; no row is an answer.

-- Is this daemon the active one? FOR KEY SHARE: a take-over (FOR UPDATE) waits for what the old holder has under way,
-- while a renewal does not. (FOR SHARE would make each renewal wait for a moment without any report or turn.)
create or replace function fleet.lease_is_held(fence integer) returns boolean language plpgsql as $$
begin
  perform 1 from fleet.leases l where l.id = 'daemon' and l.fence = lease_is_held.fence and l.expires_at > now() for key share;
  return found;
end $$;

-- For functions whose empty answer means something else.
create or replace function fleet.demand_lease(fence integer) returns void language plpgsql as $$
begin
  if not fleet.lease_is_held(demand_lease.fence) then
    raise exception 'the lease is not held with fence %', demand_lease.fence using errcode = '23514';
  end if;
end $$;

-- Take or renew the lease for `seconds`. Gives the row when the caller holds it afterwards, nothing when another does.
create or replace function fleet.take_lease(holder text, seconds integer) returns setof fleet.leases
language plpgsql as $$
#variable_conflict use_column
begin
  insert into fleet.leases (holder, fence, expires_at)
    values (take_lease.holder, 1, now() + make_interval(secs => seconds))
    on conflict (id) do nothing;
  perform 1 from fleet.leases l
    where l.id = 'daemon' and l.holder <> take_lease.holder and l.expires_at <= clock_timestamp() for update;
  return query update fleet.leases l
    set holder = take_lease.holder,
      fence = case when l.holder = take_lease.holder then l.fence else l.fence + 1 end,
      expires_at = clock_timestamp() + make_interval(secs => seconds), updated_at = now()
    where l.id = 'daemon' and (l.holder = take_lease.holder or l.expires_at <= clock_timestamp())
    returning l.*;
end $$;

-- A clean stop: the next daemon need not wait for the end of the lease.
create or replace function fleet.release_lease(holder text, fence integer) returns setof fleet.leases
language sql as $$
  update fleet.leases l set expires_at = now(), updated_at = now()
    where l.id = 'daemon' and l.holder = release_lease.holder and l.fence = release_lease.fence
    returning l.*
$$;

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

  -- Hosts before agents, each in order of id, as all who lock several: neither a deadlock nor, between the look at a
  -- host's agents and its drain, a new agent.
  perform 1 from fleet.hosts h
    where h.id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'host_updates', '[]')) u)
    order by h.id for no key update;
  for item in select * from jsonb_array_elements(coalesce(plan -> 'host_updates', '[]')) loop
    if (item ->> 'idle')::boolean then
      -- A claim holds the agent's row: after this lock the host is idle for good, or it is not drained.
      perform 1 from fleet.agents a where a.host_id = item ->> 'id' order by a.id for update;
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

-- A failed launch holds back the next one: 1 s, doubling to 5 min, until a host has connected.
create or replace function fleet.block_launches(region_id text, code text, message text) returns void
language sql as $$
  update fleet.regions r set launch_failures = r.launch_failures + 1, launch_error_code = code, launch_error = message,
    launch_blocked_until = now() + make_interval(secs => least(300, power(2, least(r.launch_failures, 20))))
    where r.id = block_launches.region_id
$$;

-- Bind the machines of a launch to its unbound rows, both sorted by id; a machine that is bound already stays so.
-- Gives the rows of the launch. Machines beyond the launch's count get none.
create or replace function fleet.bind_launch(launch_id text, cloud_ids jsonb) returns setof fleet.hosts
language plpgsql as $$
#variable_conflict use_column
declare
  machine text;
begin
  perform 1 from fleet.hosts h where h.launch_id = bind_launch.launch_id order by h.id for update;
  for machine in select value from jsonb_array_elements_text(cloud_ids) order by value loop
    if not exists (select 1 from fleet.hosts h where h.launch_id = bind_launch.launch_id and h.cloud_id = machine) then
      update fleet.hosts h set cloud_id = machine,
        status = case when h.status = 'LAUNCHING' then 'PRE_CONNECTION' else h.status end
        where h.id = (select u.id from fleet.hosts u
          where u.launch_id = bind_launch.launch_id and u.cloud_id is null and u.status <> 'TERMINATED'
          order by u.id limit 1);
    end if;
  end loop;
  return query select * from fleet.hosts h where h.launch_id = bind_launch.launch_id order by h.id;
end $$;

-- The end of a launch. `result`: {cloud_ids: [text], code, message}; fewer machines than rows is a partial launch:
-- the rows left over end here and the shortfall is decided again. With a code, the region's launches are held back.
create or replace function fleet.finish_launch(action_id text, fence integer, result jsonb) returns setof fleet.actions
language plpgsql as $$
#variable_conflict use_column
declare
  action fleet.actions;
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
  perform fleet.bind_launch(action.id, coalesce(result -> 'cloud_ids', '[]'));
  update fleet.hosts h set status = 'TERMINATED', reason = coalesce(result ->> 'message', 'not launched')
    where h.launch_id = action.id and h.cloud_id is null and h.status in ('LAUNCHING', 'TERMINATING');
  update fleet.hosts h set status = 'TERMINATING' where h.launch_id = action.id and h.cloud_id is null and h.status = 'DRAINING';
  update fleet.hosts h set status = 'TERMINATED' where h.launch_id = action.id and h.cloud_id is null and h.status = 'TERMINATING';
  if result ->> 'code' is not null then
    perform fleet.block_launches(action.region_id, result ->> 'code', result ->> 'message');
  end if;
  return query update fleet.actions a
    set status = case when jsonb_array_length(coalesce(result -> 'cloud_ids', '[]')) > 0 then 'SUCCEEDED' else 'FAILED' end,
      error_code = result ->> 'code', error = result ->> 'message', next_attempt_at = null, finished_at = now(), updated_at = now()
    where a.id = action.id returning a.*;
end $$;

-- A machine is known to be gone: its row ends, and its terminations with it.
create or replace function fleet.end_host(host_id text, fence integer, reason text) returns setof fleet.hosts
language plpgsql as $$
#variable_conflict use_column
begin
  if not fleet.lease_is_held(end_host.fence) then
    return;
  end if;
  update fleet.hosts h set status = 'TERMINATING' where h.id = end_host.host_id and h.status not in ('TERMINATING', 'TERMINATED');
  update fleet.hosts h set status = 'TERMINATED', reason = coalesce(end_host.reason, h.reason)
    where h.id = end_host.host_id and h.status = 'TERMINATING';
  update fleet.actions a set status = 'SUCCEEDED', next_attempt_at = null, error_code = null, error = null,
    finished_at = now(), updated_at = now()
    where a.target = end_host.host_id and a.kind = 'terminate' and a.status in ('QUEUED', 'RUNNING');
  return query select * from fleet.hosts h where h.id = end_host.host_id;
end $$;

-- A manager's first words: bind its machine to an unbound row of its launch and its key to that row, once.
-- The same machine with the same key again is answered alike; with another key it is not answered. No answer is a no
-- for ever, so a daemon that has lost the lease is refused aloud.
create or replace function fleet.enroll_host(launch_id text, cloud_id text, key_hash text, address text, fence integer)
returns setof fleet.hosts language plpgsql as $$
#variable_conflict use_column
begin
  perform fleet.demand_lease(enroll_host.fence);
  perform fleet.bind_launch(enroll_host.launch_id, jsonb_build_array(enroll_host.cloud_id));
  return query update fleet.hosts h set manager_key_hash = enroll_host.key_hash, address = enroll_host.address
    where h.launch_id = enroll_host.launch_id and h.cloud_id = enroll_host.cloud_id and h.status <> 'TERMINATED'
      and (h.manager_key_hash is null or h.manager_key_hash = enroll_host.key_hash)
    returning h.*;
end $$;

-- A manager with a known key has connected: PRE_CONNECTION becomes ACTIVE, UNRESPONSIVE what it was. A host that
-- connects ends its region's run of failed launches. No row means that the host has ended.
create or replace function fleet.register_host(host_id text, address text, capacity integer, fence integer)
returns setof fleet.hosts language plpgsql as $$
#variable_conflict use_column
declare
  region text;
begin
  perform fleet.demand_lease(register_host.fence);
  -- A region before its hosts, as commit_turn locks them.
  select r.id into region from fleet.regions r join fleet.hosts h on h.region_id = r.id
    where h.id = register_host.host_id and h.status <> 'TERMINATED' and r.launch_failures > 0 for no key update of r;
  update fleet.hosts h set heartbeat_at = now(), address = register_host.address, capacity = register_host.capacity,
    status = case when h.status = 'UNRESPONSIVE' then h.status_before else h.status end
    where h.id = register_host.host_id and h.status <> 'TERMINATED';
  update fleet.hosts h set status = 'ACTIVE' where h.id = register_host.host_id and h.status = 'PRE_CONNECTION';
  update fleet.regions r set launch_failures = 0, launch_blocked_until = null, launch_error_code = null, launch_error = null
    where r.id = region;
  return query select * from fleet.hosts h where h.id = register_host.host_id and h.status <> 'TERMINATED';
end $$;

-- What a manager says of its agents: [{id, status, port, app, gone}]. Statuses only move forward; an agent that is
-- gone loses its row; a new one gets its row only while its host takes agents. With `full`, agents that are not listed
-- are gone too. Gives the host's agents afterwards; those the manager listed and that are not among them must stop.
create or replace function fleet.report_agents(host_id text, reports jsonb, is_full boolean, fence integer)
returns setof fleet.agents language plpgsql as $$
#variable_conflict use_column
declare
  host fleet.hosts;
begin
  -- Refused aloud: an empty answer would mean that every agent must stop.
  perform fleet.demand_lease(report_agents.fence);
  select * into host from fleet.hosts h where h.id = report_agents.host_id for share;
  if not found then
    raise exception 'no host %', report_agents.host_id using errcode = '23514';
  end if;
  delete from fleet.agents a where a.host_id = host.id
    and (exists (select 1 from jsonb_to_recordset(reports) as r (id text, gone boolean) where r.id = a.id and r.gone)
      or (is_full and not exists (select 1 from jsonb_to_recordset(reports) as r (id text, gone boolean)
        where r.id = a.id and not coalesce(r.gone, false))));
  update fleet.agents a set status = r.status
    from jsonb_to_recordset(reports) as r (id text, status text)
    where r.id = a.id and a.host_id = host.id and r.status in ('CONNECTING', 'RUNNING', 'DYING')
      and fleet.agent_rank(r.status) > fleet.agent_rank(a.status)
      and (r.status = 'DYING' or a.status <> 'WAITING');
  if host.status in ('PRE_CONNECTION', 'ACTIVE') then
    insert into fleet.agents (id, host_id, region_id, app, port)
      select r.id, host.id, host.region_id, coalesce(r.app, 'default'), r.port
      from jsonb_to_recordset(reports) as r (id text, status text, app text, port integer, gone boolean)
      where r.status = 'WAITING' and not coalesce(r.gone, false)
        and not exists (select 1 from fleet.agents a where a.id = r.id)
      on conflict (id) do nothing;
  end if;
  return query select * from fleet.agents a where a.host_id = host.id order by a.id;
end $$;

-- Give a user one WAITING agent of a region. `request`:
--   user_id, session_id, idempotency_key|null, image_id (images.id), version|null, requested_at, demand_region_id,
--   candidates [agent id, in order of preference], excluded_hosts [host id: no live stream]
-- Gives one assignment: the new one; the old one when the key is known and was served; or, not stored, one whose
-- outcome says why there is none: no-capacity, user-already-active, region-not-enabled, not-active (not our lease).
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

-- The manager did not take the session, or the client hung up before its answer: the agent is spent (never WAITING
-- again) and the request counts as not served, so that its key may be served anew.
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

-- Heartbeats are kept in memory and flushed at most once a minute: {host id: time}. No revision, no change rows.
create or replace function fleet.flush_heartbeats(beats jsonb, fence integer) returns setof fleet.hosts
language plpgsql as $$
#variable_conflict use_column
begin
  if fleet.lease_is_held(flush_heartbeats.fence) then
    perform 1 from fleet.hosts h where beats ? h.id order by h.id for no key update;
    update fleet.hosts h set heartbeat_at = b.value::timestamptz
      from jsonb_each_text(beats) as b
      where h.id = b.key and h.status <> 'TERMINATED' and (h.heartbeat_at is null or h.heartbeat_at < b.value::timestamptz);
  end if;
  return;
end $$;

-- Forget what is past its retention. `changes` are kept for an hour, the rest for `days`.
create or replace function fleet.prune(days integer, fence integer) returns setof fleet.settings language plpgsql as $$
#variable_conflict use_column
declare
  horizon timestamptz := now() - make_interval(days => days);
begin
  if not fleet.lease_is_held(prune.fence) then
    return;
  end if;
  delete from fleet.changes c where c.created_at < now() - interval '1 hour';
  delete from fleet.hosts h where h.status = 'TERMINATED' and h.updated_at < horizon;
  delete from fleet.actions a where a.status not in ('QUEUED', 'RUNNING') and a.created_at < horizon;
  delete from fleet.decisions d where d.updated_at < horizon
    and not exists (select 1 from fleet.actions a where a.decision_id = d.id);
  delete from fleet.assignments s where s.requested_at < horizon
    and (s.ended_at is not null or s.outcome <> 'assigned');
  return query select * from fleet.settings;
end $$;
