import { expect, it } from 'vitest'

import { sentence } from '../../../src/cli/explain.ts'
import { regionText } from '../../../src/cli/regions.ts'

const region = {
  id: 'aws/us-east-1',
  provider: 'aws',
  enabled: true,
  ...{ free: 1, coming: 2, waiting: 0, live: 3, target: 4 },
  agents_per_host: 3,
  agents_per_host_from: 'provider' as const,
  rollout: null,
  launch_obstacle: null,
  blocked_offerings: [],
}

it('regions are a table, and below it what is in their way', () => {
  expect(regionText([region]).split('\n')).toEqual([
    'REGION         PROVIDER  FREE  COMING  TARGET  LIVE  WAITING  AGENTS/HOST               ROLL-OUT',
    'aws/us-east-1  aws       1     2       4       3     0        3 (as the provider says)  -',
    '',
  ])
  const rollout = { version: '2.0.0', state: 'CANARY', paused: true } as const
  expect(regionText([{ ...region, rollout }])).toMatch(/ {2}2\.0\.0 CANARY \(paused\)\n$/)
  const block = {
    ...{ instance_type: 'm6a.large', zone: 'us-east-1a', lifecycle: 'spot' },
    ...{ code: 'quota-exceeded', reason: 'MaxSpotInstanceCountExceeded', until: '2026-11-20T12:00:00.000Z' },
  }
  const held = {
    ...region,
    agents_per_host: null,
    agents_per_host_from: null,
    launch_obstacle: 'no image is ACTIVE',
    blocked_offerings: [block],
  }
  const text = regionText([held])
  expect(text).toMatch(/unknown +-\n\naws\/us-east-1: no image is ACTIVE\n/)
  expect(text).toContain(
    'aws/us-east-1: m6a.large us-east-1a spot is not asked for until 2026-11-20T12:00:00.000Z: quota-exceeded: MaxSpot',
  )
})

it('a refused call of a launch is told as the provider’s word, not as a turn’s', () => {
  const decision = {
    id: 'aws/us-east-1:7.0:refused',
    kind: 'refuse',
    target: 'aws/us-east-1:7.0',
    reason: 'm6a.large us-east-1a spot: insufficient-capacity: none left; next: m6a.large us-east-1b spot',
    ...{ causes: [], turn: 7, repeats: 1 },
    created_at: '2026-11-20T12:00:00.000Z',
    updated_at: '2026-11-20T12:00:00.000Z',
  }
  expect(sentence(decision)).toBe(
    '2026-11-20T12:00:00.000Z  turn 7, launch aws/us-east-1:7.0: the provider refused m6a.large us-east-1a spot: ' +
      'insufficient-capacity: none left; next: m6a.large us-east-1b spot',
  )
  expect(
    sentence({ ...decision, id: 'aws/us-east-1:7.1', target: null, causes: [{ kind: 'tick' }] }),
  ).toContain('turn 7, woken by tick: refuse: ')
  // The switch of a group is nobody's turn.
  expect(sentence({ ...decision, id: 'r1:SWITCHED', causes: [] })).toContain('turn 7: refuse ')
})
