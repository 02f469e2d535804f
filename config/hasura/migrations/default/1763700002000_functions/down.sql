drop function if exists fleet.take_lease, fleet.release_lease, fleet.commit_turn, fleet.bind_launch, fleet.finish_launch,
  fleet.end_host, fleet.enroll_host, fleet.register_host, fleet.report_agents, fleet.claim_agent, fleet.give_up_agent,
  fleet.flush_heartbeats, fleet.prune, fleet.block_launches, fleet.demand_lease,
  fleet.lease_is_held;
