/** What a test that pulls the plug looks at afterwards: the machine's own processes, and the sessions on them. */
import { expect } from 'vitest'

import type { AssignBody, Daemon } from './daemon.ts'
import { eventually } from './eventually.ts'

/** Rows and processes say the same: each live host has one manager, and nothing else of ours runs. */
export async function expectNoneDoubledOrOrphaned(daemon: Daemon): Promise<void> {
  await eventually(
    async () => {
      const rows = (await daemon.hosts()).map((host) => host.cloud_id).sort()
      const running = [...(await daemon.processes()).keys()].sort()
      expect(running).toEqual(rows)
      return true
    },
    { everyMs: 100, what: 'rows and processes agree' },
  )
  for (const [cloudId, processes] of await daemon.processes()) {
    expect(new Set(processes.map((one) => one.group)).size, `${cloudId} has one process group`).toBe(1)
  }
}

/** A seat whose session has answered. */
export async function aSession(daemon: Daemon, user: string): Promise<AssignBody> {
  const body = await daemon.seat(user, { waitMs: 20_000 })
  expect(await sessionOf(body)).toBe(body.session_id)
  return body
}

/** The session that the seat's agent serves now. */
export async function sessionOf(seat: AssignBody): Promise<unknown> {
  const response = await fetch(`http://${seat.address}:${seat.port}/`)
  return ((await response.json()) as { session_id?: string }).session_id
}
