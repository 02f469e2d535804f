/** Pull the daemon's plug at random instants: nothing is lost, doubled or orphaned, and sessions go on. */
import { setTimeout as sleep } from 'node:timers/promises'

import { afterEach, describe, expect, it } from 'vitest'

import { aSession, expectNoneDoubledOrOrphaned, sessionOf } from '../../support/crash-proof.ts'
import type { Daemon } from '../../support/daemon.ts'
import { shortLease, startDaemon } from '../../support/daemon.ts'
import { runs } from '../../support/thoroughness.ts'

let daemon: Daemon
afterEach(async () => daemon.dispose())

describe('kill -9 of the daemon at random instants', () => {
  it('loses, doubles and orphans nothing, and leaves sessions alone', async () => {
    daemon = await startDaemon({ environment: shortLease })
    await daemon.untilFree(4)
    const seat = await aSession(daemon, 'ann')
    const random = seededRandom(20_261_121)
    for (let kill = 0; kill < runs(3, 8); kill += 1) {
      // Something is always under way: the target moves, so that hosts are launched and drained.
      await daemon.setRegion({ target_free_agents: 2 + 2 * Math.floor(random() * 3) }).catch(() => undefined)
      await sleep(random() * 700)
      await daemon.signal('SIGKILL')
      await daemon.start(kill % 5 === 4 ? 'ready' : 'alive')
      expect(await sessionOf(seat)).toBe(seat.session_id)
    }
    await daemon.setRegion({ target_free_agents: 4 })
    await daemon.untilFree(4)
    await expectNoneDoubledOrOrphaned(daemon)
    expect(await sessionOf(seat)).toBe(seat.session_id)
  }, 900_000)
})

/** The same numbers for the same seed (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
