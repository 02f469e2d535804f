/**
 * Pull the plug: at every named await of a launch, at random instants, on managers and on agents. Afterwards the
 * machine's own processes are the judge: no host doubled, none orphaned, sessions untouched.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { afterEach, describe, expect, it } from 'vitest'

import type { AssignBody, Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'

let daemon: Daemon
afterEach(async () => daemon.dispose())

/** Rows and processes say the same: each live host has one manager, and nothing else of ours runs. */
async function expectNoneDoubledOrOrphaned(): Promise<void> {
  await eventually(
    async () => {
      const rows = (await daemon.hosts()).map((host) => host.cloud_id).sort()
      const running = [...(await daemon.processes()).keys()].sort()
      expect(running).toEqual(rows)
      return true
    },
    { timeoutMs: 30_000, everyMs: 100, what: 'rows and processes agree' },
  )
  for (const [cloudId, processes] of await daemon.processes()) {
    expect(new Set(processes.map((one) => one.group)).size, `${cloudId} has one process group`).toBe(1)
  }
}

async function aSession(user: string): Promise<AssignBody> {
  const body = await daemon.seat(user, { waitMs: 20_000 })
  expect(await sessionOf(body)).toBe(body.session_id)
  return body
}

async function sessionOf(seat: AssignBody): Promise<unknown> {
  const response = await fetch(`http://${seat.address}:${seat.port}/`)
  return ((await response.json()) as { session_id?: string }).session_id
}

describe('kill -9 of the daemon at each named await of a launch', () => {
  it.each([
    'turn.before-commit',
    'turn.after-commit',
    'launch.before-call',
    'local.after-directory',
    'local.after-directory#2',
    'local.after-spawn',
    'local.after-spawn#2',
    'launch.after-call',
    'launch.after-finish',
  ])('%s', async (point) => {
    daemon = await startDaemon({ environment: { MUSTER_FAULTS: point }, until: 'alive' })
    expect(await daemon.exit()).toBe('SIGKILL')
    await daemon.start('ready', { MUSTER_FAULTS: '' })
    await daemon.untilFree(4)
    await expectNoneDoubledOrOrphaned()
    expect(await daemon.hosts()).toHaveLength(2)
  })
})

describe('kill -9 of the daemon at random instants', () => {
  it('loses, doubles and orphans nothing, and leaves sessions alone', async () => {
    daemon = await startDaemon()
    await daemon.untilFree(4)
    const seat = await aSession('ann')
    const random = seededRandom(20_261_121)
    for (let kill = 0; kill < 20; kill += 1) {
      // Something is always under way: the target moves, so that hosts are launched and drained.
      await daemon.setRegion({ target_free_agents: 2 + 2 * Math.floor(random() * 3) }).catch(() => undefined)
      await sleep(random() * 700)
      await daemon.signal('SIGKILL')
      await daemon.start(kill % 5 === 4 ? 'ready' : 'alive')
      expect(await sessionOf(seat)).toBe(seat.session_id)
    }
    await daemon.setRegion({ target_free_agents: 4 })
    await daemon.untilFree(4, 60_000)
    await expectNoneDoubledOrOrphaned()
    expect(await sessionOf(seat)).toBe(seat.session_id)
  }, 240_000)
})

describe('kill -9 of a manager', () => {
  it('is noticed, and its host replaced and ended', async () => {
    daemon = await startDaemon()
    await daemon.setRegion({ deadlines: { heartbeat: 2 } })
    await daemon.untilFree(4)
    const [victim] = await daemon.hosts()
    const group = (await daemon.processes()).get(victim?.cloud_id ?? '')?.[0]?.group ?? 0
    process.kill(group, 'SIGKILL')
    await eventually(
      async () => (await daemon.hosts()).find((host) => host.id === victim?.id)?.status !== 'ACTIVE',
      { timeoutMs: 7_000, what: 'the killed manager is noticed within its deadline and 5 s' },
    )
    await eventually(async () => !(await daemon.hosts()).some((host) => host.id === victim?.id), {
      timeoutMs: 30_000,
      what: 'its host has ended',
    })
    await daemon.untilFree(4)
    await expectNoneDoubledOrOrphaned()
  })

  it('leaves its sessions alone for as long as they last', async () => {
    daemon = await startDaemon()
    await daemon.setRegion({ deadlines: { heartbeat: 2 } })
    await daemon.untilFree(4)
    const seat = await aSession('ann')
    const host = (await daemon.hosts()).find((one) => one.id === seat.host_id)
    process.kill((await daemon.processes()).get(host?.cloud_id ?? '')?.[0]?.group ?? 0, 'SIGKILL')
    await eventually(
      async () => (await daemon.hosts()).find((one) => one.id === seat.host_id)?.status === 'UNRESPONSIVE',
      { timeoutMs: 7_000 },
    )
    await eventually(async () => (await daemon.free()).length === 4, { timeoutMs: 20_000 })
    expect(await sessionOf(seat)).toBe(seat.session_id)
  })
})

describe('kill -9 of an agent', () => {
  it('is restarted as a new one', async () => {
    daemon = await startDaemon()
    await daemon.untilFree(4)
    const before = await daemon.free()
    const host = (await daemon.hosts())[0]
    const processes = (await daemon.processes()).get(host?.cloud_id ?? '') ?? []
    const agent = processes.find((one) => one.pid !== one.group)
    process.kill(agent?.pid ?? 0, 'SIGKILL')
    await eventually(async () => {
      const now = await daemon.free()
      return now.length === 4 && now.some((one) => !before.some((other) => other.id === one.id))
    })
    expect(await daemon.hosts()).toHaveLength(2)
  })
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
