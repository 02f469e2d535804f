drop trigger if exists end_backend on fleet.hosts;
drop trigger if exists end_backend_of_deleted on fleet.hosts;
drop trigger if exists release_name on fleet.hosts;
drop table if exists fleet.certificates, fleet.enrolment_tokens, fleet.audit, fleet.backends cascade;
drop function if exists fleet.guard_backend, fleet.fence_backend, fleet.forget_backend, fleet.end_backend,
  fleet.release_name, fleet.guard_certificate, fleet.guard_audit, fleet.note_backend_change, fleet.note_certificate_change, fleet.backend_transition_is_legal,
  fleet.note_act cascade;
update fleet.settings set schema_version = 1, updated_at = now() where schema_version = 2;
