drop function if exists fleet.begin_call, fleet.settle_call, fleet.refuse_call, fleet.store_discovery, fleet.hold_launches,
  fleet.end_launch, fleet.block_offering, fleet.guard_blocked_offering cascade;
drop table if exists fleet.blocked_offerings;

-- As migration `functions` has it.
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

alter table fleet.actions drop column if exists attempt, drop column if exists launch_id, drop column if exists offering,
  drop column if exists request, drop column if exists is_calling, drop column if exists is_repeat;
alter table fleet.hosts drop column if exists zone, drop column if exists lifecycle;
update fleet.regions set agents_per_host = coalesce(discovered_agents, 1) where agents_per_host is null;
alter table fleet.regions alter column agents_per_host set default 1, alter column agents_per_host set not null,
  drop column if exists provider_options, drop column if exists discovered_agents;
update fleet.settings set schema_version = 2, updated_at = now() where schema_version = 3;
