import { describe, expect, it } from 'vitest'

import { silentLogger } from '../../../src/lib/logger.ts'
import { Heartbeats } from '../../../src/manager-link/heartbeats.ts'
import { MusterError } from '../../../src/model/errors.ts'
import { TestClock } from '../../support/test-clock.ts'

function heartbeats() {
  const clock = new TestClock()
  const flushed: Readonly<Record<string, number>>[] = []
  const world = { isAway: false, fence: 1 as number | undefined, hosts: ['h1', 'h2'] }
  const beats = new Heartbeats({
    write: async (told) => {
      if (world.isAway) throw new MusterError('database-unavailable', 'away', { retryable: true })
      flushed.push(Object.fromEntries(told))
    },
    fence: () => world.fence,
    isKept: (id) => world.hosts.includes(id),
    clock,
    logger: silentLogger,
  })
  return { beats, clock, flushed, world }
}

describe('heartbeats', () => {
  it('are in memory at once, and written once a minute, each once', async () => {
    const { beats, clock, flushed } = heartbeats()
    beats.start()
    for (let second = 0; second < 60; second += 1) {
      beats.heard('h1')
      await clock.advance(1_000)
    }
    const last = clock.now() - 1_000
    expect(beats.lastHeard('h1')).toBe(last)
    expect(flushed).toEqual([{ h1: last }])
    await clock.advance(60_000)
    expect(flushed).toHaveLength(1)
    beats.heard('h2')
    await beats.stop()
    expect(flushed).toEqual([{ h1: last }, { h2: clock.now() }])
    expect(clock.pending).toBe(0)
  })

  it('survive a database that is away, and are not written on standby', async () => {
    const { beats, clock, flushed, world } = heartbeats()
    beats.heard('h1')
    const at = clock.now()
    world.isAway = true
    await beats.flush()
    world.isAway = false
    world.fence = undefined
    await beats.flush()
    expect(flushed).toEqual([])
    expect(beats.lastHeard('h1')).toBe(at)
    world.fence = 2
    await beats.flush()
    expect(flushed).toEqual([{ h1: at }])
  })

  it('of hosts that are no more are forgotten', async () => {
    const { beats, world } = heartbeats()
    beats.heard('h1')
    beats.heard('h2')
    world.hosts = ['h1']
    await beats.flush()
    expect([beats.lastHeard('h1') !== undefined, beats.lastHeard('h2')]).toEqual([true, undefined])
  })
})
