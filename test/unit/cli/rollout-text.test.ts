import { expect, it } from 'vitest'

import { parseOption, parseShare } from '../../../src/cli/arguments.ts'
import type { RolloutLine } from '../../../src/cli/rollout-text.ts'
import { duration, fitted, rolloutEvent, rolloutStory, rolloutTable } from '../../../src/cli/rollout-text.ts'

const now = Date.UTC(2026, 10, 20, 12)
const image = { image_id: 'ami-1', version: '1.0.0', ...{ hosts: 2, coming: 0, free: 4, live: 3 } }
const preparing: RolloutLine = {
  ...{
    id: 'r1',
    region: 'aws/us-east-1',
    version: '2.0.0',
    state: 'PREPARING',
    paused: false,
    reason: 'it began',
  },
  since: '2026-11-20T11:58:30.000Z',
  ...{ waits_for: '1 more host of the new image', deadline: '2026-11-20T14:00:00.000Z' },
  from: image,
  to: { ...image, image_id: 'ami-2', version: '2.0.0', ...{ hosts: 3, coming: 2, free: 1, live: 0 } },
  ...{ missing_hosts: 1, canary: null, canary_share: 0, group: null },
}
const canary = {
  ...{ candidate: { sessions: 12, failed: 1 }, control: { sessions: 90, failed: 0 }, never_connected: 0 },
}

it('roll-outs are a line each: how far, how long, and what for', () => {
  expect(rolloutTable([preparing], now).split('\n')).toEqual([
    'ROLL-OUT  REGION         VERSION        STATE      FOR         LEFT       NEW HOSTS       FREE  CANARY  WAITS FOR',
    'r1        aws/us-east-1  1.0.0 → 2.0.0  PREPARING  1 min 30 s  2 h 0 min  1/3, 1 missing  1     -       1 more host of the new image',
    '',
  ])
  const later = { ...preparing, state: 'SWITCHED', canary_share: 0.1 } as const
  expect(rolloutTable([later], now)).toMatch(/ 1\/3 +1 +10 % +1 more/)
  expect(rolloutTable([], now)).toBe('there are no roll-outs\n')
  const over = { ...preparing, state: 'DONE', deadline: null, waits_for: null, canary } as const
  expect(rolloutTable([over], now)).toMatch(/DONE +- +- +- +- +1\/12 failed, old 0\/90 +it began\n$/)
})

it('one is told on lines of its own, without those of which there is nothing to say', () => {
  const group = { id: 'g', members: [{ id: 'r1', region: 'aws/us-east-1', state: 'READY' }] } as const
  expect(rolloutStory({ ...preparing, state: 'READY', deadline: null, canary_share: 0.1, group }, now)).toBe(
    [
      '  roll-out  r1',
      '  region    aws/us-east-1',
      '  state     READY since 2026-11-20T11:58:30.000Z',
      '  because   it began',
      '  waits for 1 more host of the new image',
      '  from      ami-1 (1.0.0): 2 hosts, 0 of them on their way; 4 free agents, 3 live',
      '  to        ami-2 (2.0.0): 3 hosts, 2 of them on their way; 1 free agent, 0 live',
      '  canary    10 %, not begun',
      '  group     aws/us-east-1 READY',
      '',
    ].join('\n'),
  )
})

it('a change is a line in which nothing moves by itself', () => {
  expect(rolloutEvent({ ...preparing, paused: true, canary: { ...canary, never_connected: 2 } })).toBe(
    'aws/us-east-1 2.0.0 PREPARING (paused): 1/3 new hosts, 1 missing, 1 free agent, ' +
      'canary 1/12 failed, old 0/90, 2 hosts never connected; waits for 1 more host of the new image',
  )
  const over = {
    ...preparing,
    state: 'ROLLED_BACK',
    paused: true,
    waits_for: null,
    reason: 'too bad',
  } as const
  expect(rolloutEvent(over)).toBe('aws/us-east-1 2.0.0 ROLLED_BACK: 1/3 new hosts, 1 free agent; too bad')
})

it('what is drawn in place takes as many rows as it has lines', () => {
  expect(fitted('abcdef\nab\n', 4)).toBe('abc…\nab\n')
})

it.each([
  [0, '0 s'],
  [-400, '0 s'],
  [-61_000, '-1 min 1 s'],
  [7_260_000, '2 h 1 min'],
  [200_000_000, '2 d 7 h'],
])('%i ms are %s', (ms, text) => {
  expect(duration(ms)).toBe(text)
})

it('options are read as what they look like, the later over the earlier', () => {
  const all = ['bake_s=1200', 'ready_s=null', 'notify_sessions=true', 'switch=ready', 'bake_s=1.5', 'x=a=b']
  expect(all.reduce((before, text) => parseOption(text, before), {})).toEqual({
    ...{ bake_s: 1.5, ready_s: null, notify_sessions: true, switch: 'ready', x: 'a=b' },
  })
  for (const text of ['bake_s', '=1', 'bake_s=']) expect(() => parseOption(text)).toThrow('key=value')
  expect([parseShare('0'), parseShare('0.25'), parseShare('1')]).toEqual([0, 0.25, 1])
  for (const text of ['', ' ', '10%', '1.1', '-0.1', 'NaN']) expect(() => parseShare(text)).toThrow('0 to 1')
})
