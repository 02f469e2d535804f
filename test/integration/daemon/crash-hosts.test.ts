/** Pull the plug of managers and agents: noticed, replaced, restarted; sessions are left alone. */
import { afterEach, describe, expect, it } from 'vitest'

import { aSession, expectNoneDoubledOrOrphaned, sessionOf } from '../../support/crash-proof.ts'
import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'

let daemon: Daemon
/** Well before the 15 s that a region has unless it says otherwise: these say 2 s. In milliseconds. */
const noticed = 14_000
afterEach(async () => daemon.dispose())

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
      { timeoutMs: noticed, what: 'the killed manager is noticed by the deadline of its region' },
    )
    await eventually(async () => !(await daemon.hosts()).some((host) => host.id === victim?.id), {
      what: 'its host has ended',
    })
    await daemon.untilFree(4)
    await expectNoneDoubledOrOrphaned(daemon)
  })

  it('leaves its sessions alone for as long as they last', async () => {
    daemon = await startDaemon()
    await daemon.setRegion({ deadlines: { heartbeat: 2 } })
    await daemon.untilFree(4)
    const seat = await aSession(daemon, 'ann')
    const host = (await daemon.hosts()).find((one) => one.id === seat.host_id)
    process.kill((await daemon.processes()).get(host?.cloud_id ?? '')?.[0]?.group ?? 0, 'SIGKILL')
    await eventually(
      async () => (await daemon.hosts()).find((one) => one.id === seat.host_id)?.status === 'UNRESPONSIVE',
      { timeoutMs: noticed },
    )
    await eventually(async () => (await daemon.free()).length === 4)
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
