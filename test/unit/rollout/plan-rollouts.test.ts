/** The planner's steps, one by one; the laws are in laws.test.ts. */
import { describe, expect, it } from 'vitest'

import type { Rollout } from '../../../src/model/rollout.ts'
import { defaultRolloutOptions } from '../../../src/model/rollout.ts'
import { aHost, anImage, aRollout, aSnapshot, now } from '../../support/factories.ts'
import {
  candidate,
  drained,
  during,
  newHosts,
  old,
  oldHosts,
  plan,
  stepOf,
} from '../../support/rollout-snapshots.ts'

it('a launch says of which image, and of what its figures are', () => {
  const hosts = oldHosts.map((host) => ({ ...host, waitingAgents: 1, liveAgents: 1 }))
  const reasons = plan(during({ state: 'PREPARING' }, { hosts })).decisions.flatMap((decision) =>
    decision.kind === 'launch' ? [decision.reason] : [],
  )
  expect(reasons).toEqual([
    expect.stringMatching(/^4 agents .* \(of version 2\.0\.0\)$/),
    expect.stringMatching(
      /^6 agents .* \(of version 3\.0\.0, whose part of max_hosts 10 is 9; users with a session on another image count as waiting\)$/,
    ),
  ])
})

it('a roll-out that went back says why to its end', () => {
  const reason = 'READY → ROLLING_BACK: asked for by ann'
  expect(stepOf(during({ state: 'ROLLING_BACK', reason }, { hosts: oldHosts }))).toMatchObject({
    to: 'ROLLED_BACK',
    reason:
      'ROLLING_BACK → ROLLED_BACK: none of the hosts that had to leave is left; it went back: asked for by ann',
  })
})

describe('a CANDIDATE', () => {
  const region = { maxHosts: 10 }

  it('begins a roll-out when it is newer than the ACTIVE image', () => {
    const snapshot = aSnapshot({ images: [old, candidate], activeImage: old, hosts: oldHosts, region })
    const { decisions, plan: stored } = plan(snapshot)
    expect(decisions).toEqual([
      {
        kind: 'open-rollout',
        rolloutId: 'image-3',
        reason: '3.0.0 is the newest candidate; 2.0.0 is ACTIVE',
      },
    ])
    expect(stored?.opened).toEqual([{ id: 'image-3', place: 0 }])
    const older = { ...candidate, createdAt: old.createdAt }
    expect(plan({ ...snapshot, images: [old, older] }).decisions).toEqual([])
    expect(plan({ ...snapshot, region: { ...snapshot.region, enabled: false } }).decisions).toEqual([])
  })

  it('of the version that the channel has goes before what is newest', () => {
    const newest = { ...candidate, id: 'image-4', version: '4.0.0', createdAt: now }
    const images = [old, candidate, newest]
    const snapshot = aSnapshot({ images, activeImage: old, hosts: oldHosts, region })
    const opened = (channelVersion?: string) =>
      plan({ ...snapshot, channelVersion }).decisions.map(
        (one) => one.kind === 'open-rollout' && one.rolloutId,
      )
    expect(opened()).toEqual(['image-4'])
    expect(opened('3.0.0')).toEqual(['image-3'])
    expect(opened('v3.0.0+build.7')).toEqual(['image-3'])
    expect(opened('2.0.0')).toEqual(['image-4'])
  })

  it('that is newer takes the lead from what is not switched yet, and what is ACTIVE stays', () => {
    const newer = { ...candidate, id: 'image-4', version: '4.0.0', createdAt: now }
    const snapshot = during({ state: 'READY' })
    const { decisions } = plan({ ...snapshot, images: [...snapshot.images, newer] })
    expect(decisions.map(({ kind }) => kind)).toEqual(['open-rollout'])
  })

  it('in a region without an ACTIVE image begins nothing', () => {
    const snapshot = aSnapshot({ images: [candidate], activeImage: undefined, hosts: [] })
    expect(plan(snapshot).decisions).toMatchObject([
      { kind: 'refuse', reason: expect.stringMatching(/no image is ACTIVE/) as string },
    ])
  })
})

describe('PREPARING', () => {
  it('launches a full buffer of the new image, and says what it lacks', () => {
    const { decisions } = plan(during({}, { hosts: oldHosts }))
    expect(decisions).toMatchObject([
      { kind: 'rollout', from: 'PREPARING', to: 'PREPARING', counts: { missing_hosts: 2, without_room: 0 } },
      { kind: 'launch', count: 2, imageId: 'image-3' },
    ])
  })

  it('holds seats for the sessions of the old image, as its session_cover says', () => {
    const busy = aHost({ id: 'h0', agents: ['RUNNING', 'RUNNING', 'RUNNING', 'RUNNING'] })
    const launched = (session_cover: number) =>
      plan(
        during({ options: { ...defaultRolloutOptions, session_cover } }, { hosts: [busy, ...oldHosts] }),
      ).decisions.find(({ kind }) => kind === 'launch')
    expect(launched(1)).toMatchObject({ count: 4 })
    expect(launched(0.5)).toMatchObject({ count: 3 })
    expect(launched(0)).toMatchObject({ count: 2 })
  })

  it('says for how many hosts there is no room, and takes what there is', () => {
    const region = { maxHosts: 2, maxSurgeHosts: 1 }
    const { decisions } = plan(during({}, { hosts: oldHosts, region }))
    expect(decisions).toMatchObject([
      { kind: 'rollout', counts: { missing_hosts: 2, without_room: 1 } },
      { kind: 'launch', count: 1 },
      { kind: 'refuse', target: null },
    ])
  })

  it('is not READY without min_hosts, though there is no room for them', () => {
    const region = { targetFreeAgents: 0, minHosts: 2, maxHosts: 2, maxSurgeHosts: 0 }
    expect(plan(during({}, { hosts: oldHosts, region })).decisions).toMatchObject([
      { kind: 'rollout', to: 'PREPARING', counts: { missing_hosts: 2, without_room: 2 } },
    ])
  })

  it('is READY once the buffer is there, not while it is on its way', () => {
    expect(stepOf(during({ counts: { missing_hosts: 2 } }))).toMatchObject({ to: 'READY' })
    const coming = newHosts.map((host) => ({ ...host, status: 'PRE_CONNECTION' as const }))
    const waiting = during(
      { counts: { missing_hosts: 2, without_room: 0 }, stateSince: now - 8_990_000 },
      { hosts: [...oldHosts, ...coming] },
    )
    expect(plan(waiting).decisions).toEqual([])
    expect(plan(waiting).nextDeadline).toBe(now + 10_000)
  })

  it('rolls back at its deadline, unless it is paused, and at once when its hosts never connect', () => {
    const late = { stateSince: now - 9_000_000 }
    expect(stepOf(during(late, { hosts: oldHosts }))).toMatchObject({ to: 'ROLLING_BACK' })
    expect(stepOf(during({ ...late, paused: true }, { hosts: oldHosts }))).toMatchObject({ to: 'PREPARING' })
    const arm = { sessions: 0, failed: 0 }
    const rolloutHealth = { candidate: arm, control: arm, neverConnected: 3 }
    expect(stepOf(during({ paused: true }, { rolloutHealth }))).toMatchObject({
      to: 'ROLLING_BACK',
      reason: 'PREPARING → ROLLING_BACK: 3 of its hosts in a row never connected',
    })
  })
})

describe('READY', () => {
  const ready = { state: 'READY' } as const

  it('is cleared by the channel’s version, as a level: set before, gone again, or of no canary', () => {
    expect(plan(during(ready)).decisions).toEqual([])
    expect(stepOf(during(ready, { channelVersion: '3.0.0' }))).toMatchObject({
      isCleared: true,
      clearedVersion: '3.0.0',
      wantedFree: 4,
      channelVersion: '3.0.0',
    })
    const cleared = { ...ready, isCleared: true, clearedVersion: '3.0.0', channelVersion: '3.0.0' }
    expect(plan(during(cleared, { channelVersion: '3.0.0' }))).toMatchObject({
      decisions: [],
      switches: ['image-3'],
    })
    const gone = plan(during(cleared, { channelVersion: '2.0.0' }))
    expect(gone.decisions).toMatchObject([{ kind: 'rollout', to: 'READY', isCleared: false }])
    expect(gone.switches).toEqual([])
  })

  it('is cleared by a person whatever the channel has, or by itself, and not while it is paused', () => {
    expect(stepOf(during({ ...ready, switchWanted: true }))).toMatchObject({
      isCleared: true,
      clearedVersion: null,
    })
    const byItself = { ...ready, options: { ...defaultRolloutOptions, switch: 'ready' as const } }
    expect(plan(during(byItself))).toMatchObject({ switches: ['image-3'] })
    expect(plan(during({ ...byItself, paused: true })).decisions).toEqual([])
    const byHand = { ...ready, options: { ...defaultRolloutOptions, switch: 'hand' as const } }
    expect(plan(during(byHand, { channelVersion: '3.0.0' })).switches).toEqual([])
  })

  it('is not cleared while its buffer lacks something', () => {
    const hosts = [...oldHosts, newHosts[0]!]
    expect(plan(during({ ...ready, switchWanted: true }, { hosts })).switches).toEqual([])
  })

  it('asks for no more free agents than fill its buffer by now', () => {
    const cleared = { ...ready, isCleared: true, switchWanted: true, wantedFree: 4 }
    const hosts = [...oldHosts, newHosts[0]!]
    expect(plan(during(cleared, { hosts })).decisions.some(({ kind }) => kind === 'rollout')).toBe(false)
    const fewer = during(cleared, { hosts, region: { targetFreeAgents: 2 } })
    expect(stepOf(fewer)).toMatchObject({ isCleared: true, wantedFree: 2 })
    expect(plan(fewer).switches).toEqual(['image-3'])
  })

  it('that is taken back has its group switched without it, where failures are left out', () => {
    const back = { ...ready, groupId: 'group', rollbackWanted: 'it is bad' }
    const told = (changes: Partial<Rollout>, on_member_failure: 'leave-out' | 'rollback-all') =>
      plan(during({ ...back, ...changes, options: { ...defaultRolloutOptions, on_member_failure } })).switches
    expect(told({}, 'leave-out')).toEqual(['group'])
    expect(told({ state: 'ROLLING_BACK' }, 'leave-out')).toEqual(['group'])
    expect(told({}, 'rollback-all')).toEqual([])
    expect(told({ groupId: 'image-3' }, 'leave-out')).toEqual([])
  })

  it('goes to its canary first, unless a person wants the switch', () => {
    expect(stepOf(during({ ...ready, canaryShare: 0.1 }))).toMatchObject({ to: 'CANARY' })
    const wanted = { ...ready, canaryShare: 0.1, switchWanted: true }
    expect(stepOf(during(wanted))).toMatchObject({ to: 'READY', isCleared: true })
  })
})

describe('CANARY', () => {
  const canary = { state: 'CANARY', canaryShare: 0.1, stateSince: now - 700_000 } as const
  const health = (sessions: number, failed: number) => ({
    candidate: { sessions, failed },
    control: { sessions: 400, failed: 2 },
    neverConnected: 0,
  })

  it('rolls back when the new image is worse, also while it is paused', () => {
    const rolloutHealth = health(60, 20)
    expect(stepOf(during(canary, { rolloutHealth }))).toMatchObject({
      to: 'ROLLING_BACK',
      counts: { canary: rolloutHealth },
    })
    expect(stepOf(during({ ...canary, paused: true }, { rolloutHealth }))).toMatchObject({
      to: 'ROLLING_BACK',
    })
  })

  it('may be switched when it is good, no earlier', () => {
    const channelVersion = '3.0.0'
    const good = during({ ...canary, channelVersion }, { rolloutHealth: health(60, 0), channelVersion })
    expect(plan(good)).toMatchObject({ switches: ['image-3'] })
    expect(stepOf(good)).toMatchObject({ isCleared: true, counts: { canary: health(60, 0) } })
    const early = { ...canary, channelVersion, stateSince: now - 60_000 }
    expect(plan(during(early, { rolloutHealth: health(60, 0), channelVersion })).switches).toEqual([])
    expect(
      plan(during({ ...canary, channelVersion }, { rolloutHealth: undefined, channelVersion })).switches,
    ).toEqual([])
  })

  it('that saw too few waits with an alarm, switches or rolls back, as it is told', () => {
    const late = { ...canary, stateSince: now - 9_000_000 }
    const told = (on_few_samples: 'wait' | 'switch' | 'rollback') =>
      plan(
        during(
          { ...late, options: { ...defaultRolloutOptions, switch: 'ready', on_few_samples } },
          { rolloutHealth: health(3, 0) },
        ),
      )
    expect(told('wait')).toMatchObject({ decisions: [{ kind: 'refuse', target: 'image-3' }], switches: [] })
    expect(told('switch').switches).toEqual(['image-3'])
    expect(told('rollback').decisions).toMatchObject([{ to: 'ROLLING_BACK' }])
  })
})

describe('SWITCHED', () => {
  const switched = { state: 'SWITCHED', channelVersion: '3.0.0' } as const

  it('keeps the old hosts until its bake is over, then they drain, the oldest first', () => {
    const baking = during({ ...switched, stateSince: now - 590_000 }, { channelVersion: '3.0.0' })
    expect(plan(baking)).toMatchObject({ decisions: [], nextDeadline: now + 10_000 })
    const over = during({ ...switched, stateSince: now - 600_000 }, { channelVersion: '3.0.0' })
    expect(plan(over).decisions).toMatchObject([{ kind: 'rollout', to: 'DRAINING' }])
    const hosts = [
      aHost({ id: 'h1', createdAt: now - 1 }),
      aHost({ id: 'h2', agents: ['RUNNING'] }),
      ...newHosts,
    ]
    expect(drained(during({ ...switched, state: 'DRAINING' }, { hosts, channelVersion: '3.0.0' }))).toEqual([
      'h2',
      'h1',
    ])
  })

  it('goes back with its channel, and only when that has changed since', () => {
    expect(stepOf(during(switched, { channelVersion: '2.0.0' }))).toMatchObject({ to: 'ROLLING_BACK' })
    const byHand = { ...switched, channelVersion: '2.0.0' }
    expect(plan(during(byHand, { channelVersion: '2.0.0' })).decisions).toEqual([])
    expect(stepOf(during(switched, { channelVersion: '9.0.0' }))).toMatchObject({
      to: 'SWITCHED',
      channelVersion: '9.0.0',
    })
    expect(
      stepOf(during({ ...switched, rollbackWanted: 'asked for by ann' }, { channelVersion: '3.0.0' })),
    ).toMatchObject({
      to: 'ROLLING_BACK',
      reason: 'SWITCHED → ROLLING_BACK: asked for by ann',
    })
  })
})

describe('DRAINING', () => {
  it('goes back forwards: by a roll-out to a copy of the old image', () => {
    const snapshot = during({ state: 'DRAINING', rollbackWanted: 'asked for by ann' }, { hosts: newHosts })
    expect(plan(snapshot).plan).toMatchObject({
      rollouts: [{ id: 'image-3', from: 'DRAINING', to: 'ROLLED_BACK' }],
      opened: [{ id: 'image-3:back', copies: 'image-2', switch_wanted: true }],
    })
    const byLevel = { state: 'DRAINING', channelVersion: '3.0.0' } as const
    expect(plan(during(byLevel, { hosts: newHosts, channelVersion: '2.0.0' })).plan).toMatchObject({
      opened: [{ id: 'image-3:back', copies: 'image-2', switch_wanted: false }],
    })
  })

  it('forgets a person’s wish to go back once another roll-out has made another image ACTIVE', () => {
    const active = anImage({ id: 'image-4', version: '4.0.0' })
    const snapshot = during({ state: 'DRAINING', rollbackWanted: 'asked for by ann' })
    const images = [...snapshot.images.map((one) => ({ ...one, status: 'RETIRED' as const })), active]
    const { decisions } = plan({ ...snapshot, images, activeImage: active })
    expect(decisions.map(({ kind }) => kind)).not.toContain('open-rollout')
  })

  it('does not go back to a version that is ACTIVE again by another image', () => {
    const active = anImage({ id: 'image-4', version: '2.0.0' })
    const snapshot = during({ state: 'DRAINING', channelVersion: '3.0.0' }, { channelVersion: '2.0.0' })
    const images = [...snapshot.images.map((one) => ({ ...one, status: 'RETIRED' as const })), active]
    const { decisions } = plan({ ...snapshot, images, activeImage: active })
    expect(decisions.map(({ kind }) => kind)).not.toContain('open-rollout')
  })

  it('notes what its channel has, so that a change to the old version is one', () => {
    const byHand = { state: 'DRAINING', channelVersion: '2.0.0' } as const
    expect(stepOf(during(byHand, { channelVersion: '3.0.0' }))).toMatchObject({
      to: 'DRAINING',
      channelVersion: '3.0.0',
    })
    // Its way back must wait for who leads: the change stays unnoted.
    const next = aRollout({
      id: 'image-4',
      fromImage: 'image-3',
      version: '4.0.0',
      counts: { missing_hosts: 2 },
    })
    const draining = aRollout({ state: 'DRAINING', channelVersion: '3.0.0' })
    const waiting = during({}, { rollouts: [draining, next], channelVersion: '2.0.0' })
    const steps = plan(waiting).decisions.filter(
      (one) => one.kind === 'rollout' && one.rolloutId === 'image-3',
    )
    expect(steps).toEqual([])
  })

  it('is DONE when the old hosts are gone, or their deadline has passed', () => {
    const none = during({ state: 'DRAINING' }, { hosts: newHosts })
    expect(stepOf(none)).toMatchObject({ to: 'DONE' })
    const busy = aHost({ id: 'h1', status: 'DRAINING', agents: ['RUNNING'] })
    const late = { state: 'DRAINING', stateSince: now - 3_600_000 } as const
    expect(stepOf(during(late, { hosts: [busy, ...newHosts] }))).toMatchObject({ to: 'DONE' })
    expect(stepOf(during({ ...late, stateSince: now }, { hosts: [busy, ...newHosts] }))).toBeUndefined()
  })
})

describe('ROLLING_BACK', () => {
  it('drains the new hosts, whatever runs on them, and ends when they are gone', () => {
    const busy = aHost({ id: 'h3', imageId: 'image-3', agents: ['RUNNING', 'WAITING'] })
    const snapshot = during({ state: 'ROLLING_BACK' }, { hosts: [...oldHosts, busy] })
    // Its user will want a seat of the old image.
    expect(plan(snapshot).decisions).toMatchObject([
      { kind: 'drain', hostId: 'h3', withSessions: true },
      { kind: 'launch', imageId: 'image-2', count: 1 },
    ])
    expect(stepOf(during({ state: 'ROLLING_BACK' }, { hosts: oldHosts }))).toMatchObject({
      to: 'ROLLED_BACK',
    })
  })

  it('tells the sessions when it is to', () => {
    const options = { ...defaultRolloutOptions, notify_sessions: true }
    const { plan: stored } = plan(during({ state: 'ROLLING_BACK', options }))
    expect(stored?.host_updates).toMatchObject([
      { id: 'h3', notify: true },
      { id: 'h4', notify: true },
    ])
  })
})
