drop function if exists fleet.certificate_is_live, fleet.lock_backend, fleet.alarm_token, fleet.store_launch_token,
  fleet.create_token, fleet.redeem_token, fleet.redeem_launch_token, fleet.redeem_backend_token, fleet.store_certificate,
  fleet.give_host, fleet.connect_backend, fleet.disconnect_backends, fleet.flush_backends, fleet.report_info,
  fleet.create_backend, fleet.update_backend, fleet.revoke_certificate, fleet.terminate_backend, fleet.enable_backend,
  fleet.delete_backend cascade;
