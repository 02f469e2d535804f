/** Hosts of images that nobody keeps, and regions between two images. */
import { describe, expect, it } from 'vitest'

import { algorithm } from '../../../scaling-algorithms/default/algorithm.ts'
import type { Rollout } from '../../../src/model/rollout.ts'
import type { RegionSnapshot } from '../../../src/model/snapshot.ts'
import { planTurn } from '../../../src/reconcile/plan-turn.ts'
import { aHost, anEvent, aSnapshot, now } from '../../support/factories.ts'
import type { Changes } from '../../support/rollout-snapshots.ts'
import {
  candidate,
  drained,
  during,
  newHosts,
  old,
  oldHosts,
  stepOf,
} from '../../support/rollout-snapshots.ts'

describe('hosts of images that somebody changed by hand', () => {
  const others = ['old1', 'old2'].map((id) => aHost({ id, imageId: 'image-1' }))

  it('stay until the ACTIVE image has its agents free, whatever is on its way', () => {
    const hosts = [aHost(), aHost({ id: 'h2', status: 'PRE_CONNECTION' }), ...others]
    expect(drained(aSnapshot({ hosts }))).toEqual([])
  })

  it('leave once it has, and their sessions stay', () => {
    const busy = aHost({ id: 'old3', imageId: 'image-1', agents: ['RUNNING', 'WAITING'] })
    expect(drained(aSnapshot({ hosts: [...oldHosts, ...others, busy] }))).toEqual(['old1', 'old2', 'old3'])
  })

  it('make room when max_hosts keeps their successors from being launched, no more of them than it takes', () => {
    const region = { maxHosts: 2, targetFreeAgents: 2 }
    expect(drained(aSnapshot({ hosts: others, region }))).toEqual(['old1'])
    const hosts = [aHost({ id: 'gone', status: 'DRAINING' }), ...others]
    expect(drained(aSnapshot({ hosts, region: { ...region, maxHosts: 3 } }))).toEqual([])
  })
})

describe('a region without an ACTIVE image', () => {
  const none = (rollout: Partial<Rollout>, hosts: Changes['hosts']) =>
    during(rollout, {
      activeImage: undefined,
      images: [
        { ...old, status: 'RETIRED' },
        { ...candidate, status: 'RETIRED' },
      ],
      hosts: hosts ?? [],
    })

  it('lets what is on its way out end, and takes no other step', () => {
    expect(stepOf(none({ state: 'DRAINING' }, newHosts))).toMatchObject({ to: 'DONE' })
    const late = none({ state: 'PREPARING', stateSince: now - 9_000_000 }, oldHosts)
    expect(stepOf(late)).toBeUndefined()
  })

  it('keeps what a roll-out names, whatever an algorithm that knows no images wants', () => {
    const snapshot = none({ state: 'READY' }, [...oldHosts, ...newHosts])
    const greedy = {
      ...algorithm,
      plan: (seen: RegionSnapshot) =>
        seen.hosts.map(({ id: hostId }) => ({ kind: 'drain' as const, hostId, reason: 'none are wanted' })),
    }
    const { decisions } = planTurn({ snapshot, event: anEvent(), algorithm: greedy, options: {} })
    expect(decisions.filter(({ kind }) => kind === 'drain')).toEqual([])
  })
})

it('drains behind more protected hosts than one turn decides of', () => {
  const others = Array.from({ length: 450 }, (_, index) =>
    aHost({ id: `p${index}`, imageId: 'image-1', protected: true, createdAt: now - 9_000_000 }),
  )
  const last = aHost({ id: 'last', imageId: 'image-1', createdAt: now - 8_000_000 })
  const hosts = [...oldHosts, ...others, last]
  expect(drained(aSnapshot({ hosts, region: { maxHosts: 1_000 } }))).toEqual(['last'])
})
