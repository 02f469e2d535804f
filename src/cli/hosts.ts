import { setTimeout as sleep } from 'node:timers/promises'

import { callApi } from './api-client.ts'
import { table } from './table.ts'

interface HostLine {
  readonly id: string
  readonly region: string
  readonly status: string
  readonly version: string
  readonly capacity: number
  readonly free: number
  readonly live: number
  readonly address: string | null
  readonly reason: string | null
  readonly ends_at: string | null
  readonly rebalance_advised_at: string | null
  readonly replaces: string | null
}

/** Print the hosts, once or each second. */
export async function hosts(options: { json?: boolean; watch?: boolean; all?: boolean }): Promise<void> {
  do {
    const { hosts: lines } = await callApi<{ hosts: readonly HostLine[] }>(
      `/v1/hosts${options.all ? '?all=true' : ''}`,
    )
    if (options.json)
      process.stdout.write(`${JSON.stringify(lines, undefined, options.watch ? undefined : 2)}\n`)
    else {
      if (options.watch && process.stdout.isTTY) process.stdout.write('\u001b[2J\u001b[H')
      process.stdout.write(hostTable(lines))
    }
    if (options.watch) await sleep(1000)
  } while (options.watch)
}

/** Drain one host. */
export async function drain(host: string): Promise<void> {
  await callApi(`/v1/hosts/${encodeURIComponent(host)}/drain`, { method: 'POST' })
  process.stdout.write(`${host} is draining; follow it with: npx muster explain ${host}\n`)
}

function hostTable(lines: readonly HostLine[]): string {
  return table(
    ['HOST', 'REGION', 'STATUS', 'VERSION', 'SEATS', 'FREE', 'LIVE', 'ADDRESS', 'NOTICE', 'REASON'],
    lines.map((host) => [
      host.id,
      host.region,
      host.status,
      host.version,
      String(host.capacity),
      String(host.free),
      String(host.live),
      host.address ?? '-',
      noticeOf(host),
      host.reason ?? '',
    ]),
  )
}

/** What its provider has said of it, or whom it replaces for that. */
function noticeOf({ ends_at, rebalance_advised_at, replaces }: HostLine): string {
  if (ends_at !== null) return `ends ${ends_at}`
  if (rebalance_advised_at !== null) return 'to be left'
  return replaces === null ? '-' : `for ${replaces}`
}
