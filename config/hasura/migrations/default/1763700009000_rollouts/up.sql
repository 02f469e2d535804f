-- Roll-outs of images as a state machine in rows (docs/design/rollouts.md).
--
-- The one order for all locks (migration lock_order says what follows from it), with roll-outs in it:
--
--   1. the user (an advisory lock, of claims only), the lease
--   2. the action of a launch, when its end is stored
--   3. regions, in order of id
--   4. their images, in order of id
--   5. the roll-outs of every group concerned, whole groups, in order of id
--   6. versions of channels, in order of channel
--   7. hosts, agents, backends, certificates, tokens, each in order of id (serial)
--   8. what is locked last, each by itself: blocked offerings, assignments, decisions, actions of terminations
--
-- Whoever changes a roll-out's state has locked its region, its images and all of its group before: the images follow, and its end is
-- told to the others. A wish (paused, switch_wanted, rollback_wanted) is one roll-out's own column, and needs nothing else; a state that
-- is set by hand locks as it comes, and may be refused with 40P01 for it.
--
-- Roll-outs are never pruned: they are few, and a candidate that has had its roll-out has none again.

-- What a region's roll-outs are like, unless one says otherwise: {canary_share, prepare_s, bake_s, switch, …}. What is missing
-- has its default (src/model/rollout.ts).
alter table fleet.regions add column if not exists rollout jsonb not null default '{}';
alter table fleet.regions drop constraint if exists regions_rollout_check;
alter table fleet.regions add constraint regions_rollout_check check (jsonb_typeof(rollout) = 'object');

-- Whether the sessions of a host that drains are told.
alter table fleet.hosts add column if not exists notify_sessions boolean not null default false;
create index if not exists hosts_image on fleet.hosts (image_id, created_at desc);

-- Why an agent's session did not end well, as its manager or the daemon knows; null: it did, or nobody says otherwise.
alter table fleet.agents add column if not exists failure text;

-- Of requests that a roll-out's canary counts: candidate (the hash chose the new image, which served it), control (served by
-- the old one) or fallback (chosen, but the new image had no free agent). A failure on the candidate stays on record even when
-- the same request is served by another agent afterwards.
alter table fleet.assignments add column if not exists rollout_id text;
alter table fleet.assignments add column if not exists arm text;
alter table fleet.assignments drop constraint if exists assignments_arm_check;
alter table fleet.assignments add constraint assignments_arm_check check (arm in ('candidate', 'control', 'fallback'));
alter table fleet.assignments add column if not exists failure text;
create index if not exists assignments_rollout on fleet.assignments (rollout_id, arm) where rollout_id is not null;

-- A channel's row may be deleted and added anew, even in one transaction: the new one must not look older than the old.
create sequence if not exists fleet.version_revisions as integer;

-- The version that the clients of a channel have: a level, no event.
create table if not exists fleet.versions (
  channel text primary key check (channel <> ''),
  -- Of the row, as the mirror asks for it.
  id text generated always as (channel) stored,
  version text not null check (version <> ''),
  revision integer not null default nextval('fleet.version_revisions'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create or replace function fleet.guard_version() returns trigger language plpgsql as $$
begin
  if new.channel <> old.channel then
    raise exception 'version of channel %: its channel never changes; add a row for another channel', old.channel using errcode = '23514';
  end if;
  new.revision := nextval('fleet.version_revisions');
  new.updated_at := now();
  return new;
end $$;

-- It is news to each region of the channel.
create or replace function fleet.note_version_change() returns trigger language plpgsql as $$
begin
  insert into fleet.changes (table_name, row_id, region_id)
    select 'versions', coalesce(new.channel, old.channel), r.id from fleet.regions r
      where r.channel = coalesce(new.channel, old.channel) order by r.id;
  return null;
end $$;
create or replace trigger guard before update on fleet.versions for each row execute function fleet.guard_version();
create or replace trigger note_change after insert or update or delete on fleet.versions
  for each row execute function fleet.note_version_change();

create table if not exists fleet.rollouts (
  -- Its candidate's.
  id text primary key,
  region_id text not null references fleet.regions (id),
  -- Those of one group are switched together; its own id when it is alone.
  group_id text not null,
  from_image text not null references fleet.images (id),
  to_image text not null references fleet.images (id),
  version text not null,
  state text not null default 'PREPARING' check (state in ('PREPARING', 'READY', 'CANARY', 'SWITCHED', 'DRAINING', 'DONE',
    'ROLLING_BACK', 'ROLLED_BACK')),
  -- Without the time that it was paused.
  state_since timestamptz not null default now(),
  -- Steps forward wait, and so do its deadlines; a roll-back does not.
  paused boolean not null default false,
  paused_at timestamptz,
  canary_share double precision not null default 0 check (canary_share between 0 and 1),
  options jsonb not null default '{}' check (jsonb_typeof(options) = 'object'),
  -- Why it is in its state.
  reason text,
  -- What its last turn saw: {missing_hosts, …}.
  counts jsonb not null default '{}' check (jsonb_typeof(counts) = 'object'),
  -- Its region's turn found that it may be switched: as long as its channel has this version (null: whatever it has), and
  -- so many agents of the new image are free.
  is_cleared boolean not null default false,
  cleared_version text,
  wanted_free integer not null default 0 check (wanted_free >= 0),
  -- What its channel had when a turn last looked.
  channel_version text,
  -- A person's wishes, or its group's.
  switch_wanted boolean not null default false,
  rollback_wanted text,
  ready_at timestamptz,
  switched_at timestamptz,
  ended_at timestamptz,
  revision integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint rollouts_id_is_candidate check (id = to_image),
  constraint rollouts_two_images check (from_image <> to_image)
);
create unique index if not exists rollouts_one_leading on fleet.rollouts (region_id)
  where state in ('PREPARING', 'READY', 'CANARY', 'SWITCHED');
create index if not exists rollouts_group on fleet.rollouts (group_id);
create index if not exists rollouts_from on fleet.rollouts (from_image);
create index if not exists rollouts_region on fleet.rollouts (region_id, created_at desc);
create index if not exists rollouts_open on fleet.rollouts (region_id) where state not in ('DONE', 'ROLLED_BACK');

-- The state machine of src/model/rollout.ts; a test compares them.
create or replace function fleet.rollout_transition_is_legal(was text, becomes text) returns boolean
language sql immutable as $$
  select case was
    when 'PREPARING' then becomes in ('READY', 'ROLLING_BACK')
    when 'READY' then becomes in ('CANARY', 'SWITCHED', 'ROLLING_BACK')
    when 'CANARY' then becomes in ('SWITCHED', 'ROLLING_BACK')
    when 'SWITCHED' then becomes in ('DRAINING', 'ROLLING_BACK')
    when 'DRAINING' then becomes in ('DONE', 'ROLLED_BACK')
    when 'ROLLING_BACK' then becomes = 'ROLLED_BACK'
    else false
  end
$$;

create or replace function fleet.guard_rollout() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if new.state <> 'PREPARING' then
      raise exception 'roll-out %: it begins as PREPARING', new.id using errcode = '23514';
    end if;
    -- Whoever has locked them before waits for nobody; by hand, an image could change its status beside us.
    perform 1 from fleet.images i where i.id in (new.from_image, new.to_image) order by i.id for no key update;
    if not exists (select 1 from fleet.images i where i.id = new.to_image and i.region_id = new.region_id
        and i.status = 'CANDIDATE' and i.version = new.version)
        or not exists (select 1 from fleet.images i where i.id = new.from_image and i.region_id = new.region_id and i.status = 'ACTIVE') then
      raise exception 'roll-out %: it leads from the ACTIVE image of its region to a CANDIDATE of it', new.id using errcode = '23514';
    end if;
    new.state_since := now();
    new.paused_at := case when new.paused then now() end;
    return new;
  end if;
  if (new.id, new.region_id, new.group_id, new.from_image, new.to_image, new.version, new.canary_share, new.options)
      is distinct from (old.id, old.region_id, old.group_id, old.from_image, old.to_image, old.version, old.canary_share, old.options) then
    raise exception 'roll-out %: what it is about never changes; start another', old.id using errcode = '23514';
  end if;
  if new.state <> old.state then
    if not fleet.rollout_transition_is_legal(old.state, new.state) then
      raise exception 'roll-out % may not go from % to %', old.id, old.state, new.state using errcode = '23514';
    end if;
    new.state_since := now();
    new.paused_at := case when new.paused then now() end;
    new.is_cleared := false;
    new.cleared_version := null;
    new.ready_at := case when new.state = 'READY' then now() else old.ready_at end;
    new.switched_at := case when new.state = 'SWITCHED' then now() else old.switched_at end;
    new.ended_at := case when new.state in ('DONE', 'ROLLED_BACK') then now() end;
  elsif new.paused <> old.paused then
    new.state_since := case when new.paused then old.state_since else old.state_since + (now() - old.paused_at) end;
    new.paused_at := case when new.paused then now() end;
  else
    new.state_since := old.state_since;
    new.paused_at := old.paused_at;
  end if;
  new.revision := old.revision + 1;
  new.updated_at := now();
  return new;
end $$;

create or replace function fleet.is_bound(rollout fleet.rollouts) returns boolean language sql immutable as $$
  select coalesce(rollout.options ->> 'on_member_failure', 'rollback-all') <> 'leave-out'
$$;

-- The images follow the state, in the same transaction and whoever changed it; and so does a group's wish to go back with its
-- member. The caller has locked the images and the group.
create or replace function fleet.follow_rollout() returns trigger language plpgsql as $$
begin
  if new.state = old.state then
    return null;
  end if;
  if new.state = 'SWITCHED' then
    update fleet.images set status = 'RETIRED' where id = new.from_image;
    update fleet.images set status = 'ACTIVE' where id = new.to_image;
  elsif new.state = 'ROLLING_BACK' then
    update fleet.images set status = 'RETIRED' where id = new.to_image;
    if old.state = 'SWITCHED' then
      update fleet.images set status = 'ACTIVE' where id = new.from_image;
    end if;
    if fleet.is_bound(new) then
      update fleet.rollouts r set rollback_wanted = left('its group goes back with ' || new.region_id || ': ' || coalesce(new.reason, ''), 1000)
        where r.group_id = new.group_id and r.id <> new.id and r.rollback_wanted is null
          and r.state in ('PREPARING', 'READY', 'CANARY', 'SWITCHED');
    end if;
  end if;
  return null;
end $$;
create or replace trigger guard before insert or update on fleet.rollouts for each row execute function fleet.guard_rollout();
create or replace trigger follow after update of state on fleet.rollouts for each row execute function fleet.follow_rollout();
create or replace trigger note_change after insert or update or delete on fleet.rollouts for each row execute function fleet.note_change();

-- An image becomes ACTIVE by a roll-out's switch, or in a region that has none; and again by a roll-out's way back, only there.
-- What a roll-out leads from or to changes with it alone: follow_rollout is a trigger, and nobody else writes images from one.
create or replace function fleet.guard_image() returns trigger language plpgsql as $$
declare
  rollout fleet.rollouts;
begin
  if new.id <> old.id or new.region_id <> old.region_id or new.image_id <> old.image_id or new.version <> old.version then
    raise exception 'image %: only its status changes; add a row for another image', old.id using errcode = '23514';
  end if;
  if new.status is distinct from old.status then
    if (old.status, new.status) not in
        (('CANDIDATE', 'ACTIVE'), ('CANDIDATE', 'RETIRED'), ('ACTIVE', 'RETIRED'), ('RETIRED', 'ACTIVE')) then
      raise exception 'image % may not go from % to %', old.id, old.status, new.status using errcode = '23514';
    end if;
    if pg_trigger_depth() = 1 then
      if old.status = 'RETIRED' then
        raise exception 'image % is RETIRED for good; add a row for it, and a roll-out leads to it', old.id using errcode = '23514';
      end if;
      select * into rollout from fleet.rollouts r where (r.id = old.id or r.from_image = old.id)
        and r.state in ('PREPARING', 'READY', 'CANARY', 'SWITCHED') limit 1;
      if found then
        raise exception 'image % is part of roll-out % (%): switch it or roll it back', old.id, rollout.id, rollout.state
          using errcode = '23514';
      end if;
    end if;
    if new.status = 'ACTIVE' and exists (select 1 from fleet.images i
        where i.region_id = old.region_id and i.status = 'ACTIVE' and i.id <> old.id) then
      raise exception 'image %: region % has an ACTIVE image already; a roll-out leads to another', old.id, old.region_id
        using errcode = '23514';
    end if;
  end if;
  new.revision := old.revision + 1;
  new.updated_at := now();
  return new;
end $$;

-- The assignment is the recorded demand: it learns from its agent when the session ran, when it ended, and whether it failed.
create or replace function fleet.note_session() returns trigger language plpgsql as $$
declare
  why text;
begin
  if old.session_id is null then
    return null;
  end if;
  if tg_op = 'DELETE' then
    why := old.failure;
    -- With its host, and not because its provider took the machine.
    if why is null and old.status in ('ALLOCATED', 'CONNECTING', 'RUNNING') and exists (select 1 from fleet.hosts h
        where h.id = old.host_id and h.status = 'TERMINATED' and h.interruption_at is null) then
      why := 'host-lost';
    end if;
  else
    why := new.failure;
  end if;
  if tg_op = 'DELETE' or (new.status = 'DYING' and old.status <> 'DYING') then
    update fleet.assignments set ended_at = coalesce(ended_at, now()), failure = coalesce(failure, why), updated_at = now()
      where agent_id = old.id and session_id = old.session_id and (ended_at is null or (failure is null and why is not null));
  elsif new.status = 'RUNNING' and old.status <> 'RUNNING' then
    update fleet.assignments set running_at = coalesce(running_at, now()), updated_at = now()
      where agent_id = old.id and session_id = old.session_id;
  end if;
  return null;
end $$;

-- Begin a roll-out to a CANDIDATE, from whatever is ACTIVE; whatever led before gives way: before its switch it rolls back,
-- after it its old hosts drain at once. The caller has locked the region, its images and (lock_leading) the roll-outs. No row: the
-- region has no ACTIVE image, or the image is no CANDIDATE, or has had its roll-out.
create or replace function fleet.open_rollout(candidate text, options jsonb, group_id text) returns setof fleet.rollouts
language plpgsql as $$
#variable_conflict use_column
declare
  image fleet.images;
  active fleet.images;
  settings jsonb;
begin
  select * into image from fleet.images i where i.id = open_rollout.candidate and i.status = 'CANDIDATE';
  if not found or exists (select 1 from fleet.rollouts r where r.id = image.id) then
    return;
  end if;
  select * into active from fleet.images i where i.region_id = image.region_id and i.status = 'ACTIVE';
  if not found then
    return;
  end if;
  select r.rollout || case jsonb_typeof(open_rollout.options) when 'object' then open_rollout.options else '{}' end into settings
    from fleet.regions r where r.id = image.region_id;
  update fleet.rollouts r set state = case r.state when 'SWITCHED' then 'DRAINING' else 'ROLLING_BACK' end,
      reason = 'superseded by a roll-out to ' || image.version
    where r.region_id = image.region_id and r.state in ('PREPARING', 'READY', 'CANARY', 'SWITCHED');
  return query insert into fleet.rollouts (id, region_id, group_id, from_image, to_image, version, canary_share, options, reason, channel_version)
    values (image.id, image.region_id, coalesce(open_rollout.group_id, image.id), active.id, image.id, image.version,
      -- As far as a double holds it: a region's own word may be any number.
      case when jsonb_typeof(settings -> 'canary_share') = 'number'
        then round(least(1, greatest(0, (settings ->> 'canary_share')::numeric)), 9)::double precision else 0 end,
      settings, 'its buffer is launched', (select v.version from fleet.versions v
        join fleet.regions r on r.channel = v.channel where r.id = image.region_id))
    returning *;
end $$;

-- The roll-outs that lead in some regions (text[] as jsonb) and all of their groups, in order of id.
create or replace function fleet.lock_leading(region_ids jsonb) returns void language sql as $$
  select 1 from fleet.rollouts r where r.group_id in (select l.group_id from fleet.rollouts l
      where lock_leading.region_ids ? l.region_id and l.state in ('PREPARING', 'READY', 'CANARY', 'SWITCHED'))
    order by r.id for no key update
$$;

-- Start roll-outs in several regions at once: [{region_id, image_id, version, options}], bound by `group_id` unless that is null.
-- Gives each region's image: a CANDIDATE with its new roll-out, which bears its id; the one that is ACTIVE or led to already, when it is
-- this very one (so a request may be repeated); or, in a region that has none, the new ACTIVE one. All regions, or none.
create or replace function fleet.start_rollouts(requests jsonb, group_id text, actor text) returns setof fleet.images
language plpgsql as $$
#variable_conflict use_column
declare
  item jsonb;
  region_ids jsonb := (select jsonb_agg(q ->> 'region_id') from jsonb_array_elements(start_rollouts.requests) q);
  image fleet.images;
  twice text;
  is_rollout boolean;
begin
  select q ->> 'region_id' into twice from jsonb_array_elements(start_rollouts.requests) q group by 1 having count(*) > 1 limit 1;
  if found then
    raise exception 'region % is named twice: it takes one image at a time', twice using errcode = '23514';
  end if;
  perform 1 from fleet.regions r where region_ids ? r.id order by r.id for no key update;
  perform 1 from fleet.images i where region_ids ? i.region_id and i.status <> 'RETIRED' order by i.id for no key update;
  perform fleet.lock_leading(region_ids);
  for item in select q from jsonb_array_elements(start_rollouts.requests) q order by q ->> 'region_id' loop
    if not exists (select 1 from fleet.regions r where r.id = item ->> 'region_id') then
      raise exception 'there is no region %', item ->> 'region_id' using errcode = '23514';
    end if;
    select i.* into image from fleet.images i left join fleet.rollouts r on r.id = i.id
      where i.region_id = item ->> 'region_id' and i.image_id = item ->> 'image_id' and i.version = item ->> 'version'
        and case when exists (select 1 from fleet.rollouts l where l.region_id = i.region_id and l.state in ('PREPARING', 'READY', 'CANARY'))
          then r.state in ('PREPARING', 'READY', 'CANARY') else i.status = 'ACTIVE' end;
    if not found then
      -- A row of it may have come by hand, and have had no turn yet.
      select i.* into image from fleet.images i
        where i.region_id = item ->> 'region_id' and i.image_id = item ->> 'image_id' and i.version = item ->> 'version'
          and i.status = 'CANDIDATE' and not exists (select 1 from fleet.rollouts r where r.id = i.id)
        order by i.created_at desc, i.id limit 1;
      if not found then
        insert into fleet.images (id, region_id, image_id, version)
          values (gen_random_uuid()::text, item ->> 'region_id', item ->> 'image_id', item ->> 'version')
          returning * into image;
      end if;
      perform 1 from fleet.open_rollout(image.id, item -> 'options', start_rollouts.group_id);
      is_rollout := found;
      if not is_rollout then
        update fleet.images i set status = 'ACTIVE' where i.id = image.id returning * into image;
      end if;
      perform fleet.note_act(start_rollouts.actor, case when is_rollout then 'rollout-started' else 'image-activated' end, null, null,
        jsonb_build_object('region', image.region_id, 'image', image.image_id, 'version', image.version, 'rollout', image.id));
    end if;
    return next image;
  end loop;
end $$;

-- A person's word: pause, resume, switch (all of its group) or rollback; the region's turn does what is asked. No row: there is no such
-- roll-out, or it is past that.
create or replace function fleet.steer_rollout(rollout_id text, action text, actor text) returns setof fleet.rollouts
language plpgsql as $$
#variable_conflict use_column
declare
  rollout fleet.rollouts;
begin
  perform 1 from fleet.rollouts r where r.group_id = (select s.group_id from fleet.rollouts s where s.id = steer_rollout.rollout_id)
    order by r.id for no key update;
  select * into rollout from fleet.rollouts r where r.id = steer_rollout.rollout_id;
  if not found or rollout.state in ('DONE', 'ROLLED_BACK') then
    return;
  end if;
  if steer_rollout.action in ('pause', 'resume') then
    update fleet.rollouts r set paused = (steer_rollout.action = 'pause') where r.id = rollout.id;
  elsif steer_rollout.action = 'switch' then
    if rollout.state not in ('PREPARING', 'READY', 'CANARY') then
      return;
    end if;
    update fleet.rollouts r set switch_wanted = true
      where r.group_id = rollout.group_id and r.state in ('PREPARING', 'READY', 'CANARY');
  elsif steer_rollout.action = 'rollback' then
    if rollout.state = 'ROLLING_BACK' then
      return;
    end if;
    update fleet.rollouts r set rollback_wanted = coalesce(r.rollback_wanted, left('asked for by ' || steer_rollout.actor, 1000)) where r.id = rollout.id;
  else
    raise exception 'a roll-out can be told to pause, resume, switch or rollback, not to %', steer_rollout.action using errcode = '23514';
  end if;
  perform fleet.note_act(steer_rollout.actor, 'rollout-' || steer_rollout.action, null, null,
    jsonb_build_object('region', rollout.region_id, 'rollout', rollout.id, 'state', rollout.state));
  return query select * from fleet.rollouts r where r.id = rollout.id;
end $$;

-- Switch a group, all or none: each member is cleared, its channel still has the version that it was cleared for, and its buffer is
-- there. Of no account are those that failed, where failures are left out, and those that are switched: who joined a group late
-- follows it. No row: not now.
create or replace function fleet.switch_rollouts(group_id text, fence integer) returns setof fleet.rollouts
language plpgsql as $$
#variable_conflict use_column
declare
  member fleet.rollouts;
begin
  if not fleet.lease_is_held(switch_rollouts.fence) then
    return;
  end if;
  -- Each turn of a member that waits for another comes here: it must not hold up the turns of all. Who clears the last one asks after that
  -- is committed, and finds it here.
  if exists (select 1 from fleet.rollouts r where r.group_id = switch_rollouts.group_id
      and (r.state = 'PREPARING' or (r.state in ('READY', 'CANARY') and not r.is_cleared))) then
    return;
  end if;
  perform 1 from fleet.regions g where g.id in (select r.region_id from fleet.rollouts r where r.group_id = switch_rollouts.group_id)
    order by g.id for no key update;
  perform 1 from fleet.images i where i.id in (select unnest(array[r.from_image, r.to_image]) from fleet.rollouts r
      where r.group_id = switch_rollouts.group_id)
    order by i.id for no key update;
  perform 1 from fleet.rollouts r where r.group_id = switch_rollouts.group_id order by r.id for no key update;
  -- Until this transaction has ended the versions stay what they are.
  perform 1 from fleet.versions v where v.channel in (select g.channel from fleet.regions g
      join fleet.rollouts r on r.region_id = g.id where r.group_id = switch_rollouts.group_id)
    order by v.channel for share;
  for member in select * from fleet.rollouts r where r.group_id = switch_rollouts.group_id order by r.id loop
    continue when member.state in ('SWITCHED', 'DRAINING', 'DONE')
      or (member.state in ('ROLLING_BACK', 'ROLLED_BACK') and not fleet.is_bound(member));
    if member.state not in ('READY', 'CANARY') or not member.is_cleared or member.paused or member.rollback_wanted is not null then
      return;
    end if;
    if member.cleared_version is not null and not exists (select 1 from fleet.regions g join fleet.versions v on v.channel = g.channel
        where g.id = member.region_id and v.version = member.cleared_version) then
      return;
    end if;
    if member.wanted_free > (select count(*) from fleet.agents a join fleet.hosts h on h.id = a.host_id
        where h.image_id = member.to_image and h.status = 'ACTIVE' and a.status = 'WAITING') then
      return;
    end if;
  end loop;
  insert into fleet.decisions (id, region_id, turn, place, kind, target, reason)
    select r.id || ':SWITCHED', r.region_id, g.turn, 0, 'rollout', r.id,
      r.state || ' → SWITCHED: ' || i.version || ' is ACTIVE' || case when r.group_id = r.id then '' else ', as in all regions of its group' end
    from fleet.rollouts r join fleet.regions g on g.id = r.region_id join fleet.images i on i.id = r.to_image
    where r.group_id = switch_rollouts.group_id and r.state in ('READY', 'CANARY') order by r.id
    on conflict (id) do nothing;
  return query update fleet.rollouts r set state = 'SWITCHED', reason = 'its image is ACTIVE'
    where r.group_id = switch_rollouts.group_id and r.state in ('READY', 'CANARY') returning r.*;
end $$;

-- How far max_hosts may be passed by these rows (those about to be inserted) beside those that stand: as far as hosts leave, and by all of
-- max_surge_hosts while a roll-out is open.
create or replace function fleet.surge_allowed(region fleet.regions, hosts jsonb) returns integer language sql stable as $$
  select least(region.max_surge_hosts, case
    when exists (select 1 from fleet.rollouts r where r.region_id = region.id and r.state not in ('DONE', 'ROLLED_BACK'))
    then region.max_surge_hosts else fleet.leaving_hosts(region.id, surge_allowed.hosts) end)
$$;

-- The decisions that a plan of nothing but refusals and reports only says again; null: it says or does something new.
create or replace function fleet.repeated_words(region fleet.regions, plan jsonb) returns text[] language plpgsql stable as $$
#variable_conflict use_column
declare
  item jsonb;
  last_turn integer;
  last_words text;
  repeated text[] := '{}';
begin
  if exists (select 1 from unnest(array['actions', 'hosts', 'host_updates', 'agent_updates', 'rollouts', 'opened']) part
        where jsonb_array_length(coalesce(plan -> part, '[]')) > 0)
      or jsonb_typeof(plan -> 'launch_failed') = 'object' then
    return null;
  end if;
  for item in select * from jsonb_array_elements(coalesce(plan -> 'decisions', '[]')) loop
    -- One turn may say several things of one target: its last words are those of the last turn that spoke of it.
    select d.turn into last_turn from fleet.decisions d
      where d.region_id = region.id and d.kind = item ->> 'kind' and coalesce(d.target, '') = coalesce(item ->> 'target', '')
      order by d.turn desc limit 1;
    select d.id into last_words from fleet.decisions d
      where d.region_id = region.id and d.kind = item ->> 'kind' and coalesce(d.target, '') = coalesce(item ->> 'target', '')
        and d.turn = last_turn and d.reason = item ->> 'reason' limit 1;
    if not found or item ->> 'kind' not in ('refuse', 'report') then
      return null;
    end if;
    repeated := repeated || last_words;
  end loop;
  return repeated;
end $$;

-- All that a turn and its triggers write, in the order of all (migration lock_order): no deadlock, nor, between the look at a
-- host's agents and its drain, a new agent.
create or replace function fleet.lock_turn(region fleet.regions, plan jsonb) returns void language plpgsql as $$
declare
  changed jsonb := coalesce(plan -> 'host_updates', '[]');
begin
  if jsonb_array_length(coalesce(plan -> 'rollouts', '[]')) + jsonb_array_length(coalesce(plan -> 'opened', '[]')) > 0 then
    perform 1 from fleet.images i
      where i.id in (select u ->> 'image_id' from jsonb_array_elements(coalesce(plan -> 'hosts', '[]')) u)
        or (i.region_id = region.id and i.status <> 'RETIRED')
        or i.id in (select unnest(array[r.from_image, r.to_image]) from fleet.rollouts r where r.region_id = region.id
          and r.id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'rollouts', '[]')) u))
      order by i.id for no key update;
    perform 1 from fleet.rollouts r
      where r.group_id in (select m.group_id from fleet.rollouts m where m.region_id = region.id
        and (m.id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'rollouts', '[]')) u)
          or m.state in ('PREPARING', 'READY', 'CANARY', 'SWITCHED')))
      order by r.id for no key update;
  else
    perform 1 from fleet.images i
      where i.id in (select u ->> 'image_id' from jsonb_array_elements(coalesce(plan -> 'hosts', '[]')) u)
      order by i.id for key share;
  end if;
  perform 1 from fleet.hosts h where h.id in (select u ->> 'id' from jsonb_array_elements(changed) u) order by h.id for update;
  perform 1 from fleet.agents a
    where a.id in (select u ->> 'id' from jsonb_array_elements(coalesce(plan -> 'agent_updates', '[]')) u)
      or a.host_id in (select u ->> 'id' from jsonb_array_elements(changed) u
        where (u ->> 'idle')::boolean or u ->> 'to' in ('DRAINING', 'TERMINATING', 'TERMINATED'))
    order by a.id for update;
  perform 1 from fleet.backends b
    where b.host_id in (select u ->> 'id' from jsonb_array_elements(changed) u where u ->> 'to' = 'TERMINATED')
    order by b.id for update;
  perform 1 from fleet.certificates c join fleet.backends b on b.id = c.backend_id
    where b.host_id in (select u ->> 'id' from jsonb_array_elements(changed) u where u ->> 'to' = 'TERMINATED')
      and c.revoked_at is null and c.not_after > now()
    order by c.serial for no key update of c;
end $$;

-- A turn's host_updates and agent_updates; gives the places of those that could not be done.
create or replace function fleet.move_rows(region fleet.regions, plan jsonb) returns integer[] language plpgsql as $$
#variable_conflict use_column
declare
  item jsonb;
  touched boolean;
  busy_places integer[] := '{}';
begin
  for item in select * from jsonb_array_elements(coalesce(plan -> 'host_updates', '[]')) loop
    -- A claim holds the agent's row: after lock_turn the host is idle for good, or it is not drained.
    touched := not coalesce((item ->> 'idle')::boolean, false) or not exists (select 1 from fleet.agents a
      where a.host_id = item ->> 'id' and a.status in ('ALLOCATED', 'CONNECTING', 'RUNNING'));
    if touched then
      update fleet.hosts h set status = item ->> 'to', reason = item ->> 'reason',
          notify_sessions = h.notify_sessions or coalesce((item ->> 'notify')::boolean, false)
        where h.id = item ->> 'id' and h.region_id = region.id
          and item -> 'from' ? h.status and h.status <> item ->> 'to';
      touched := found;
    end if;
    if not touched then
      busy_places := busy_places || (item ->> 'place')::integer;
    end if;
  end loop;
  for item in select * from jsonb_array_elements(coalesce(plan -> 'agent_updates', '[]')) loop
    update fleet.agents a set status = item ->> 'to', failure = coalesce(a.failure, item ->> 'failure')
      where a.id = item ->> 'id' and a.region_id = region.id and item -> 'from' ? a.status;
    if not found then
      busy_places := busy_places || (item ->> 'place')::integer;
    end if;
  end loop;
  return busy_places;
end $$;

-- A turn's steps of roll-outs, and the roll-outs that it opens; gives the places of those that could not be done.
create or replace function fleet.step_rollouts(region fleet.regions, plan jsonb) returns integer[] language plpgsql as $$
#variable_conflict use_column
declare
  item jsonb;
  busy_places integer[] := '{}';
begin
  for item in select * from jsonb_array_elements(coalesce(plan -> 'rollouts', '[]')) loop
    update fleet.rollouts r set state = item ->> 'to',
        reason = coalesce(item ->> 'reason', r.reason),
        is_cleared = coalesce((item ->> 'is_cleared')::boolean, r.is_cleared),
        cleared_version = case when item ? 'is_cleared' then item ->> 'cleared_version' else r.cleared_version end,
        wanted_free = coalesce((item ->> 'wanted_free')::integer, r.wanted_free),
        channel_version = case when item ? 'channel_version' then item ->> 'channel_version' else r.channel_version end,
        counts = coalesce(item -> 'counts', r.counts)
      where r.id = item ->> 'id' and r.region_id = region.id and r.state = item ->> 'from';
    if not found then
      busy_places := busy_places || (item ->> 'place')::integer;
    end if;
  end loop;
  for item in select * from jsonb_array_elements(coalesce(plan -> 'opened', '[]')) loop
    if item ? 'copies' then
      insert into fleet.images (id, region_id, image_id, version)
        select item ->> 'id', i.region_id, i.image_id, i.version from fleet.images i
        where i.id = item ->> 'copies' and i.region_id = region.id
        on conflict (id) do nothing;
    end if;
    perform 1 from fleet.images i cross join fleet.open_rollout(i.id, item -> 'options', null)
      where i.id = item ->> 'id' and i.region_id = region.id;
    if not found then
      busy_places := busy_places || (item ->> 'place')::integer;
    elsif (item ->> 'switch_wanted')::boolean then
      update fleet.rollouts r set switch_wanted = true where r.id = item ->> 'id';
    end if;
  end loop;
  return busy_places;
end $$;

-- Store a turn. Gives the region's row with its new turn, or nothing when the region has moved on, the lease is not
-- ours, or the region's bounds would be passed. `plan`:
--   causes, inputs   jsonb, kept with each decision
--   decisions        [{place, kind, target, reason}]
--   actions          [{place, kind, target, params}]; the action bears its decision's id
--   hosts            [{id, place, image_id, version, instance_type, capacity, replaces}]: rows inserted as LAUNCHING
--   host_updates     [{id, place, from: [status], to, reason, idle, notify}]; idle: only while no agent serves a user; notify: its sessions are told
--   agent_updates    [{id, place, from: [status], to, failure}]
--   rollouts         [{id, place, from, to, reason, is_cleared, cleared_version, wanted_free, channel_version, counts}]; what is missing
--                    stays; `to` may be `from`
--   opened           [{id, place, copies, options, switch_wanted}]: roll-outs to a CANDIDATE; with `copies` (an image's id) it is inserted as its copy
--   surge            how far max_hosts may be passed; never further than surge_allowed, by the rows
--   endings          what regions.endings is to hold from now on; without it, what it holds
--   launch_failed    null or {code, message}: counts as a failed launch (see block_launches)
-- A plan of nothing but refusals that were the region's last words already only counts them again.
create or replace function fleet.commit_turn(region_id text, turn integer, fence integer, plan jsonb)
returns setof fleet.regions language plpgsql as $$
#variable_conflict use_column
declare
  region fleet.regions;
  hosts_after integer;
  repeated text[];
  busy_places integer[];
begin
  if not fleet.lease_is_held(commit_turn.fence) then
    return;
  end if;
  select * into region from fleet.regions r where r.id = commit_turn.region_id for no key update;
  if not found or region.turn <> commit_turn.turn then
    return;
  end if;
  repeated := fleet.repeated_words(region, plan);
  if repeated is not null then
    update fleet.decisions d set repeats = d.repeats + 1, updated_at = now(), causes = coalesce(plan -> 'causes', '[]')
      where d.id = any (repeated);
    return next region;
    return;
  end if;
  if jsonb_array_length(coalesce(plan -> 'hosts', '[]')) > 0 then
    select count(*) + jsonb_array_length(plan -> 'hosts') into hosts_after
      from fleet.hosts h where h.region_id = region.id and h.status <> 'TERMINATED';
    if not region.enabled or hosts_after > region.max_hosts + (case when hosts_after > region.max_hosts
        then least(coalesce((plan ->> 'surge')::integer, 0), fleet.surge_allowed(region, plan -> 'hosts')) else 0 end) then
      return;
    end if;
  end if;

  perform fleet.lock_turn(region, plan);
  busy_places := fleet.step_rollouts(region, plan) || fleet.move_rows(region, plan);

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

-- Give a user one WAITING agent of a region. `request`:
--   user_id, session_id, idempotency_key|null, image_id (images.id), version|null, requested_at, demand_region_id,
--   candidates [agent id, in order of preference], excluded_hosts [host id: no live stream], rollout_id|null and arm|null (of a canary)
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
  -- What failed on an image counts against it, whoever serves the request in the end: on the old one no less than on the new.
  if answer.failure is null or coalesce(answer.arm, 'fallback') = 'fallback' then
    answer.rollout_id := request ->> 'rollout_id';
    answer.arm := request ->> 'arm';
    answer.failure := null;
  end if;
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
        session_id, outcome, assigned_at, running_at, ended_at, rollout_id, arm, failure, updated_at)
      = (answer.region_id, answer.demand_region_id, answer.version, answer.image_id, answer.host_id, answer.agent_id,
        answer.address, answer.port, answer.session_id, answer.outcome, answer.assigned_at, null, null, answer.rollout_id,
        answer.arm, answer.failure, now())
      where a.id = answer.id;
  else
    insert into fleet.assignments select answer.*;
  end if;
  return next answer;
end $$;

-- The manager did not take the session (`failure` says why), or the client hung up before its answer: the agent is spent (never
-- WAITING again) and the request counts as not served, so that its key may be served anew.
drop function if exists fleet.give_up_agent(text, text, integer);
create or replace function fleet.give_up_agent(assignment_id text, agent_id text, fence integer, failure text)
returns setof fleet.assignments language plpgsql as $$
#variable_conflict use_column
begin
  update fleet.agents a set status = 'DYING'
    where a.id = give_up_agent.agent_id and a.status in ('ALLOCATED', 'CONNECTING')
      and exists (select 1 from fleet.assignments s where s.id = assignment_id and s.agent_id = a.id and s.session_id = a.session_id);
  return query update fleet.assignments s set outcome = 'given-up', ended_at = coalesce(s.ended_at, now()),
      failure = coalesce(s.failure, give_up_agent.failure), updated_at = now()
    where s.id = assignment_id and s.agent_id = give_up_agent.agent_id and s.outcome = 'assigned' returning s.*;
end $$;

-- What a manager says of its agents: [{id, status, port, app, gone, failure}]; failure: why its session did not end well. Statuses only move forward; an agent that is
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
  update fleet.agents a set failure = left(r.failure, 1000)
    from jsonb_to_recordset(reports) as r (id text, failure text)
    where r.id = a.id and a.id = any (locked) and a.failure is null and r.failure is not null;
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

update fleet.settings set schema_version = 6, updated_at = now() where schema_version < 6;
