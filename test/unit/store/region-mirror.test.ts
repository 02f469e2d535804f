import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import type { Agent } from '../../../src/model/agent.ts'
import type { BlockedOffering } from '../../../src/model/offering.ts'
import { RegionMirror } from '../../../src/store/region-mirror.ts'
import { aHost, anAgent, anImage, aRegion, now } from '../../support/factories.ts'

const inputs = { now, waitingUsers: 0, heardAt: () => now }

function aMirror(): RegionMirror {
  return new RegionMirror(aRegion())
}

describe('RegionMirror', () => {
  it('applies a row only if its revision is higher', () => {
    const mirror = aMirror()
    expect(mirror.applyHost(aHost({ id: 'h1', revision: 2, status: 'ACTIVE' }))).toBe(true)
    expect(mirror.applyHost(aHost({ id: 'h1', revision: 2, status: 'DRAINING' }))).toBe(false)
    expect(mirror.applyHost(aHost({ id: 'h1', revision: 1, status: 'DRAINING' }))).toBe(false)
    expect(mirror.snapshot(inputs).hosts[0]?.status).toBe('ACTIVE')
  })

  it('keeps a deleted row dead until the next rebuild, however late an answer comes', () => {
    const mirror = aMirror()
    mirror.applyHost(aHost({ id: 'h1', revision: 2 }))
    mirror.removeHost('h1')
    expect(mirror.applyHost(aHost({ id: 'h1', revision: 3 }))).toBe(false)
    mirror.beginRebuild()
    mirror.endRebuild({
      region: aRegion(),
      images: [],
      hosts: [aHost({ id: 'h1', revision: 3 })],
      agents: [],
      blocked_offerings: [],
      rollouts: [],
      versions: [],
    })
    expect(mirror.snapshot(inputs).hosts).toHaveLength(0)
    mirror.beginRebuild()
    mirror.endRebuild({
      region: aRegion(),
      images: [],
      hosts: [aHost({ id: 'h1', revision: 3 })],
      agents: [],
      blocked_offerings: [],
      rollouts: [],
      versions: [],
    })
    expect(mirror.snapshot(inputs).hosts).toHaveLength(1)
  })

  it('does not hold TERMINATED hosts and RETIRED images', () => {
    const mirror = aMirror()
    mirror.applyHost(aHost({ id: 'h1', revision: 1 }))
    mirror.applyHost(aHost({ id: 'h1', revision: 2, status: 'TERMINATED' }))
    mirror.applyImage(anImage({ id: 'i1', revision: 1 }))
    mirror.applyImage(anImage({ id: 'i1', revision: 2, status: 'RETIRED' }))
    expect(mirror.snapshot(inputs)).toMatchObject({ hosts: [], activeImage: undefined })
  })

  it('removes at a rebuild what it held before, but not what arrived meanwhile', () => {
    const mirror = aMirror()
    mirror.applyHost(aHost({ id: 'old' }))
    mirror.beginRebuild()
    mirror.applyHost(aHost({ id: 'new' }))
    mirror.endRebuild({
      region: aRegion(),
      images: [],
      hosts: [],
      agents: [],
      blocked_offerings: [],
      rollouts: [],
      versions: [],
    })
    expect(mirror.snapshot(inputs).hosts.map((host) => host.id)).toEqual(['new'])
  })

  it('counts the agents of a host, and takes agents that come before their host', () => {
    const mirror = aMirror()
    mirror.applyAgent(anAgent({ id: 'a1', hostId: 'h1', status: 'WAITING' }))
    mirror.applyAgent(anAgent({ id: 'a2', hostId: 'h1', status: 'RUNNING' }))
    mirror.applyHost(aHost({ id: 'h1' }))
    expect(mirror.snapshot(inputs).hosts[0]).toMatchObject({ waitingAgents: 1, liveAgents: 1 })
    mirror.removeAgent('a1')
    expect(mirror.snapshot(inputs).hosts[0]).toMatchObject({ waitingAgents: 0, liveAgents: 1 })
  })

  it('leaves an earlier snapshot as it was', () => {
    const mirror = aMirror()
    mirror.applyHost(aHost({ id: 'h1', revision: 1 }))
    const before = mirror.snapshot(inputs)
    mirror.applyHost(aHost({ id: 'h1', revision: 2, status: 'DRAINING' }))
    mirror.snapshot(inputs)
    expect(before.hosts[0]?.status).toBe('ACTIVE')
  })

  it('shows every host once, as it is and in order of id, whatever came, changed and went', () => {
    const names = Array.from({ length: 40 }, (_, index) => `h${index}`)
    const step = fc.record({ id: fc.constantFrom(...names), goes: fc.boolean(), isSeen: fc.boolean() })
    fc.assert(
      fc.property(fc.subarray(names), fc.array(step, { maxLength: 60 }), (first, steps) => {
        const mirror = aMirror()
        const held = new Map(first.map((id) => [id, 1]))
        for (const id of first) mirror.applyHost(aHost({ id, revision: 1 }))
        mirror.snapshot(inputs)
        for (const [index, { id, goes, isSeen }] of steps.entries()) {
          const revision = index + 2
          mirror.applyHost(aHost({ id, revision, status: goes ? 'TERMINATED' : 'ACTIVE' }))
          if (goes) held.delete(id)
          else held.set(id, revision)
          if (!isSeen) continue
          const shown = mirror.snapshot(inputs).hosts.map((host) => [host.id, host.revision])
          expect(shown).toEqual([...held].sort(([one], [other]) => (one < other ? -1 : 1)))
        }
      }),
    )
  })

  it('shows how long a silent host has been silent', () => {
    const mirror = aMirror()
    mirror.applyHost(aHost({ id: 'h1' }))
    mirror.snapshot({ ...inputs, heardAt: () => now })
    const later = mirror.snapshot({ ...inputs, now: now + 10_000, heardAt: () => now + 9_000 })
    expect(later.hosts[0]?.heardAt).toBe(now + 9_000)
  })

  it('holds the newest of every row, in whatever order and however often hints bring them', () => {
    const versions = fc.array(
      fc.record({
        id: fc.constantFrom('a1', 'a2', 'a3'),
        hostId: fc.constant('h1'),
        revision: fc.integer({ min: 1, max: 6 }),
      }),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(versions, (rows) => {
        const mirror = aMirror()
        mirror.applyHost(aHost({ id: 'h1' }))
        const newest = new Map<string, Agent>()
        for (const row of rows) {
          const agent = anAgent({ ...row, port: 1000 + row.revision })
          mirror.applyAgent(agent)
          if ((newest.get(agent.id)?.revision ?? 0) < agent.revision) newest.set(agent.id, agent)
        }
        const held = mirror.snapshot(inputs).hosts[0]?.agents.map((agent) => [agent.id, agent.revision])
        expect(held).toEqual([...newest.values()].map((agent) => [agent.id, agent.revision]).sort())
      }),
    )
  })
})

it('holds blocked offerings like any row, in order, and hands them to the snapshot', () => {
  const block = (id: string, revision: number): BlockedOffering => ({
    id,
    regionId: 'test/one',
    instanceType: id,
    zone: '',
    lifecycle: 'spot',
    code: 'insufficient-capacity',
    reason: 'none left',
    until: 1,
    revision,
  })
  const mirror = aMirror()
  expect(mirror.applyBlock(block('b', 2))).toBe(true)
  expect(mirror.applyBlock(block('a', 1))).toBe(true)
  expect(mirror.applyBlock(block('b', 1))).toBe(false)
  expect(mirror.snapshot(inputs).blockedOfferings).toEqual([block('a', 1), block('b', 2)])
  mirror.removeBlock('a')
  mirror.beginRebuild()
  mirror.endRebuild({
    region: aRegion(),
    images: [],
    hosts: [],
    agents: [],
    blocked_offerings: [],
    rollouts: [],
    versions: [],
  })
  expect(mirror.snapshot(inputs).blockedOfferings).toEqual([])
})
