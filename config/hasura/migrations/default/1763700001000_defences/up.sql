-- The database defends itself, whoever writes: the daemon, a console, plain SQL.
-- Refusals are raised with ERRCODE 23514, since Hasura hides the text of other codes.

-- The host's state machine. DRAINING is legal from LAUNCHING on; any state may go to TERMINATING; an
-- UNRESPONSIVE host returns only to what it was; a DRAINING host never returns.
create or replace function fleet.host_transition_is_legal(was text, becomes text, before text) returns boolean
language sql immutable as $$
  select case was
    when 'LAUNCHING' then becomes in ('PRE_CONNECTION', 'DRAINING', 'TERMINATING', 'TERMINATED')
    when 'PRE_CONNECTION' then becomes in ('ACTIVE', 'DRAINING', 'UNRESPONSIVE', 'TERMINATING')
    when 'ACTIVE' then becomes in ('DRAINING', 'UNRESPONSIVE', 'TERMINATING')
    when 'DRAINING' then becomes in ('UNRESPONSIVE', 'TERMINATING')
    when 'UNRESPONSIVE' then coalesce(becomes = before, false) or becomes in ('DRAINING', 'TERMINATING')
    when 'TERMINATING' then becomes = 'TERMINATED'
    else false
  end
$$;

create or replace function fleet.guard_host() returns trigger language plpgsql as $$
declare
  same fleet.hosts;
begin
  if tg_op = 'INSERT' then
    new.status_since := now();
    return new;
  end if;
  if new.status is distinct from old.status then
    if not fleet.host_transition_is_legal(old.status, new.status, old.status_before) then
      raise exception 'host % may not go from % to %', old.id, old.status, new.status using errcode = '23514';
    end if;
    new.status_since := now();
    new.status_before := case when new.status = 'UNRESPONSIVE' then old.status end;
  elsif new.status_before is distinct from old.status_before then
    raise exception 'host %: status_before is kept by the database', old.id using errcode = '23514';
  end if;
  if new.id <> old.id or new.region_id <> old.region_id then
    raise exception 'host %: id and region_id never change', old.id using errcode = '23514';
  end if;
  -- A flush of heartbeats is no change: it must cost neither a revision nor an event.
  same := new;
  same.heartbeat_at := old.heartbeat_at;
  if same is not distinct from old then
    return new;
  end if;
  new.revision := old.revision + 1;
  new.updated_at := now();
  return new;
end $$;

-- The fence, first half: what stops a host from serving also withdraws its free agents, in one transaction.
create or replace function fleet.fence_host() returns trigger language plpgsql as $$
begin
  if new.status is distinct from old.status then
    if new.status in ('DRAINING', 'TERMINATING') then
      -- An agent that was inserted while we waited for the host is not in an older snapshot, and would stay WAITING.
      if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'host %: drains and ends in a READ COMMITTED transaction only', new.id using errcode = '23514';
      end if;
      update fleet.agents set status = 'DYING' where host_id = new.id and status = 'WAITING';
    elsif new.status = 'TERMINATED' then
      delete from fleet.agents where host_id = new.id;
    end if;
  end if;
  return null;
end $$;

create or replace function fleet.agent_rank(status text) returns integer language sql immutable as $$
  select array_position(array['WAITING', 'ALLOCATED', 'CONNECTING', 'RUNNING', 'DYING'], status)
$$;

create or replace function fleet.guard_agent() returns trigger language plpgsql as $$
declare
  host fleet.hosts;
  slots integer;
begin
  if tg_op = 'INSERT' then
    -- The fence, second half: an agent that appears while its host is being drained waits here, then is refused.
    -- (A foreign key's lock would not block an update of the status.)
    select * into host from fleet.hosts where id = new.host_id for share;
    if not found or host.status not in ('PRE_CONNECTION', 'ACTIVE') then
      raise exception 'agent %: host % takes no agents (%)', new.id, new.host_id, coalesce(host.status, 'no such host')
        using errcode = '23514';
    end if;
    if host.region_id <> new.region_id then
      raise exception 'agent %: host % is in region %', new.id, new.host_id, host.region_id using errcode = '23514';
    end if;
    new.status_since := now();
  else
    if new.status is distinct from old.status then
      if fleet.agent_rank(new.status) < fleet.agent_rank(old.status) then
        raise exception 'agent % may not go from % to %', old.id, old.status, new.status using errcode = '23514';
      end if;
      new.status_since := now();
    end if;
    if new.id <> old.id or new.host_id <> old.host_id or new.region_id <> old.region_id then
      raise exception 'agent %: id, host_id and region_id never change', old.id using errcode = '23514';
    end if;
    if old.user_id is not null and (new.user_id is distinct from old.user_id
        or new.user_slot is distinct from old.user_slot or new.session_id is distinct from old.session_id) then
      raise exception 'agent %: its user and session never change', old.id using errcode = '23514';
    end if;
    new.revision := old.revision + 1;
    new.updated_at := now();
  end if;
  if new.status in ('ALLOCATED', 'CONNECTING', 'RUNNING')
      and (tg_op = 'INSERT' or new.user_slot is distinct from old.user_slot) then
    select max_agents_per_user into slots from fleet.regions where id = new.region_id;
    if new.user_slot > slots then
      raise exception 'user % may hold % agents in region %', new.user_id, slots, new.region_id using errcode = '23514';
    end if;
  end if;
  return new;
end $$;

-- The assignment is the recorded demand: it learns from its agent when the session ran and when it ended.
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

create or replace function fleet.guard_region() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    -- Ids of decisions hold region and turn: a region that is made anew goes on counting.
    new.turn := greatest(new.turn, coalesce((select max(turn) + 1 from fleet.decisions where region_id = new.id), 0));
    return new;
  end if;
  if new.id <> old.id then
    raise exception 'region %: its id never changes', old.id using errcode = '23514';
  end if;
  -- Its machines would be looked for at a provider that never had them, and taken for gone.
  if new.provider <> old.provider and exists (select 1 from fleet.hosts where region_id = old.id and status <> 'TERMINATED') then
    raise exception 'region %: its provider may change once its hosts have ended', old.id using errcode = '23514';
  end if;
  new.revision := old.revision + 1;
  new.updated_at := now();
  return new;
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

create or replace function fleet.append_only() returns trigger language plpgsql as $$
begin
  if (to_jsonb(new) - 'repeats' - 'updated_at' - 'causes') <> (to_jsonb(old) - 'repeats' - 'updated_at' - 'causes') then
    raise exception 'decision %: decisions are append-only', old.id using errcode = '23514';
  end if;
  return new;
end $$;

-- The outbox. Heartbeats and the counting of turns are no news.
create or replace function fleet.note_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and new.revision = old.revision then
    return null;
  end if;
  insert into fleet.changes (table_name, row_id, region_id)
    values (tg_table_name, coalesce(new.id, old.id), coalesce(new.region_id, old.region_id));
  return null;
end $$;

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

create or replace trigger guard before insert or update on fleet.regions for each row execute function fleet.guard_region();
create or replace trigger guard before update on fleet.images for each row execute function fleet.guard_image();
create or replace trigger guard before insert or update on fleet.hosts for each row execute function fleet.guard_host();
create or replace trigger guard before insert or update on fleet.agents for each row execute function fleet.guard_agent();
create or replace trigger guard before update on fleet.decisions for each row execute function fleet.append_only();
create or replace trigger fence after update of status on fleet.hosts for each row execute function fleet.fence_host();
create or replace trigger note_session after update of status or delete on fleet.agents for each row execute function fleet.note_session();
create or replace trigger note_change after insert or update or delete on fleet.regions for each row execute function fleet.note_region_change();
create or replace trigger note_change after insert or update or delete on fleet.images for each row execute function fleet.note_change();
create or replace trigger note_change after insert or update or delete on fleet.hosts for each row execute function fleet.note_change();
create or replace trigger note_change after insert or update or delete on fleet.agents for each row execute function fleet.note_change();
