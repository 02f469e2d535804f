/** Users of the simulated world: they come more or less often, take an agent where there is one, and leave again. */
import type { Clock } from '../lib/clock.ts'
import type { Chance } from './chance.ts'
import type { SimulatedDaemon } from './daemon.ts'

export interface UsersOptions {
  readonly clock: Clock
  readonly chance: Chance
  readonly regionId: string
  readonly daemon: () => SimulatedDaemon | undefined
  /** Whether anybody comes, now. */
  readonly isComing: () => boolean
  readonly counts: { waiting: number; assigned: number }
}

const tideMs = 300_000
const retryMs = 3_000
const mostTries = 6

export async function runUsers(options: UsersOptions): Promise<void> {
  const { clock, chance, isComing } = options
  for (let user = 1; isComing(); user += 1) {
    const isHighTide = Math.floor(clock.now() / tideMs) % 2 === 0
    await clock.sleep(chance.integer(2_000, isHighTide ? 20_000 : 120_000))
    void runUser(options, `user-${user}`)
  }
}

async function runUser(options: UsersOptions, userId: string): Promise<void> {
  const { clock, chance, counts } = options
  counts.waiting += 1
  const isServed = await seek(options, userId)
  counts.waiting -= 1
  if (!isServed) return
  counts.assigned += 1
  await clock.sleep(chance.integer(10_000, 180_000))
  for (;;) {
    try {
      const daemon = options.daemon()
      if (daemon !== undefined) {
        await daemon.release(userId, userId)
        return
      }
    } catch {
      // Nobody answers: again.
    }
    await clock.sleep(retryMs)
  }
}

async function seek({ clock, daemon, regionId }: UsersOptions, userId: string): Promise<boolean> {
  for (let tries = 0; tries < mostTries; tries += 1) {
    try {
      const assignment = await daemon()?.claim(regionId, userId, userId)
      if (assignment?.outcome === 'assigned') return true
    } catch {
      // Nobody answers: the same key gives the same answer.
    }
    await clock.sleep(retryMs)
  }
  return false
}
