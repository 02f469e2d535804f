import { describe, expect, it } from 'vitest'

import { parseBlastRadius, parseDeadlines, regionRow } from '../../../src/hasura/region-rows.ts'
import { actionRow, hostRow } from '../../../src/hasura/rows.ts'
import { defaultBlastRadius, defaultDeadlines } from '../../../src/model/region.ts'

const host = {
  id: 'h1',
  region_id: 'aws/one',
  provider: 'aws',
  cloud_id: null,
  launch_id: null,
  image_id: null,
  version: '',
  instance_type: '',
  zone: '',
  lifecycle: 'on-demand',
  address: null,
  capacity: 2,
  status: 'LAUNCHING',
  status_before: null,
  status_since: '2026-11-20T12:00:00+00:00',
  protected: false,
  reason: null,
  heartbeat_at: null,
  interruption_at: null,
  rebalance_advised_at: null,
  replaces: null,
  notify_sessions: false,
  created_at: '2026-11-20T12:00:00+00:00',
  revision: 1,
}
const region = {
  id: 'aws/one',
  provider: 'aws',
  enabled: true,
  algorithm: 'default',
  options: {},
  deadlines: {},
  blast_radius: {},
  endings: { h1: 1000, h2: 'soon' },
  sweep_confirmed_until: null,
  target_free_agents: 4,
  min_hosts: 0,
  max_hosts: 8,
  max_surge_hosts: 0,
  instance_types: ['small', 7, 'large'],
  agents_per_host: 2,
  discovered_agents: null,
  provider_options: {},
  max_agents_per_user: 1,
  channel: 'default',
  rollout: {},
  turn: 0,
  launch_failures: 0,
  launch_blocked_until: null,
  launch_error_code: null,
  launch_error: null,
  revision: 1,
}

describe('a timestamptz', () => {
  const noon = Date.UTC(2026, 10, 20, 12)
  it.each([
    ['to the microsecond', '2026-11-20T12:00:00.810796+00:00', noon + 810],
    ['without a fraction', '2026-11-20T12:00:00+00:00', noon],
    ['with one digit of it', '2026-11-20T12:00:00.5+00:00', noon + 500],
    ['in another zone', '2026-11-20T17:30:00+05:30', noon],
    ['in UTC’s own letter', '2026-11-20T12:00:00.000Z', noon],
    ['that never comes', 'infinity', 8.64e15],
    ['that is always past', '-infinity', -8.64e15],
  ])('%s', (_what, text, ms) => {
    const parsed = hostRow.parse({ ...host, heartbeat_at: text })
    expect(parsed.heartbeatAt).toBe(ms)
    // What is shown to people can be shown.
    expect(() => new Date(parsed.heartbeatAt ?? 0).toISOString()).not.toThrow()
  })

  it.each(['', 'yesterday', '2026-13-45T00:00:00Z', 7])('is not %j', (text) => {
    expect(hostRow.safeParse({ ...host, heartbeat_at: text }).success).toBe(false)
  })
})

describe('a row', () => {
  it('may have columns that this version does not know', () => {
    expect(hostRow.parse({ ...host, colour: 'red' })).not.toHaveProperty('colour')
  })

  it('of a status that this version does not know is refused', () => {
    expect(hostRow.safeParse({ ...host, status: 'RESTING' }).success).toBe(false)
  })

  it('of a region is in fleet words, without what is no instance type', () => {
    const row = regionRow.parse(region)
    expect(row).toMatchObject({ targetFreeAgents: 4, instanceTypes: ['small', 'large'] })
    expect(row.endings).toEqual({ h1: 1000 })
  })

  it('of an action has the parameters of its kind', () => {
    const action = {
      id: 'a',
      region_id: 'r',
      offering: null,
      request: null,
      target: null,
      status: 'RUNNING',
      attempts: 1,
      next_attempt_at: null,
    }
    const params = { image: 'ami', version: '1', count: 2, instanceTypes: ['small'], agentsPerHost: 2 }
    expect(actionRow.parse({ ...action, kind: 'launch', params })).toMatchObject({ regionId: 'r', params })
    expect(actionRow.parse({ ...action, kind: 'terminate', params: { left: 'over' } })).toMatchObject({
      params: {},
    })
    expect(actionRow.safeParse({ ...action, kind: 'launch', params: {} }).success).toBe(false)
  })
})

it.each([null, [], 'soon', { launch: -1 }, { launch: '5', drain: Infinity, force_drain: 'yes' }])(
  'deadlines that make no sense are the defaults: %j',
  (given) => expect(parseDeadlines(given)).toEqual(defaultDeadlines),
)

describe('the blast radius of a region', () => {
  it('has the default of whatever is missing or out of bounds, so that no slip lifts it', () => {
    expect(parseBlastRadius({})).toEqual(defaultBlastRadius)
    expect(parseBlastRadius('all')).toEqual(defaultBlastRadius)
    expect(parseBlastRadius({ percent: 101, at_least: -1, window: 0 })).toEqual(defaultBlastRadius)
    expect(parseBlastRadius({ percent: 0, at_least: 0, window: 60 })).toEqual({
      ...{ percent: 0, at_least: 0, window: 60 },
    })
  })
})
