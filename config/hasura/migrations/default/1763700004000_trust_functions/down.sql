drop function if exists fleet.certificate_is_live, fleet.lock_backend, fleet.alarm_token, fleet.may_ask_again, fleet.store_launch_token,
  fleet.create_token, fleet.redeem_token, fleet.redeem_launch_token, fleet.redeem_backend_token, fleet.store_certificate,
  fleet.give_host, fleet.connect_backend, fleet.disconnect_backends, fleet.flush_backends, fleet.report_info,
  fleet.create_backend, fleet.update_backend, fleet.revoke_certificate, fleet.terminate_backend, fleet.enable_backend,
  fleet.delete_backend cascade;

-- As migration `functions` has it.
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
