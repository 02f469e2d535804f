drop trigger if exists end_backend on fleet.hosts;
drop trigger if exists end_backend_of_deleted on fleet.hosts;
drop trigger if exists release_name on fleet.hosts;
drop table if exists fleet.certificates, fleet.enrolment_tokens, fleet.audit, fleet.backends cascade;
drop function if exists fleet.guard_backend, fleet.fence_backend, fleet.forget_backend, fleet.end_backend,
  fleet.release_name, fleet.guard_certificate, fleet.guard_audit, fleet.note_backend_change, fleet.note_certificate_change, fleet.backend_transition_is_legal,
  fleet.note_act cascade;
update fleet.settings set schema_version = 1, updated_at = now() where schema_version = 2;

-- As migrations `fleet` and `functions` have them.
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
