drop function if exists fleet.guard_host, fleet.fence_host, fleet.guard_agent, fleet.note_session, fleet.guard_region,
  fleet.guard_image, fleet.append_only, fleet.note_change, fleet.note_region_change cascade;
drop function if exists fleet.host_transition_is_legal, fleet.agent_rank;
