import { MusterError } from '../model/errors.ts'
import { callApi } from './api-client.ts'
import { table } from './table.ts'

export interface SweepOptions {
  readonly region?: string
  readonly dryRun?: boolean
  readonly confirm?: boolean
  readonly json?: boolean
}

interface RegionLines {
  readonly region: string
  readonly failure: string | null
  readonly machines: number
  readonly hosts: number
  readonly confirmed_until: string | null
  readonly findings: readonly {
    readonly kind: keyof typeof acts
    readonly target: string
    readonly reason: string
    readonly state: 'waiting' | 'due' | 'held'
    readonly due_at: string | null
  }[]
}

/** A provider's list of ten thousand machines may take minutes. */
const patienceMs = 11 * 60_000

const acts = {
  adopt: 'bind machine',
  'clear-orphan': 'end machine',
  'host-gone': 'close host',
  terminate: 'end host',
  report: 'report host',
} as const

/**
 * Compare the providers' lists with the rows now, and print what is found.
 * @throws MusterError `unavailable` when a region could not be looked at, once the others are printed
 */
export async function sweep({
  region,
  dryRun = false,
  confirm = false,
  json = false,
}: SweepOptions): Promise<void> {
  const body = { ...(region === undefined ? {} : { region }), dry_run: dryRun, confirm }
  const { regions } = await callApi<{ regions: readonly RegionLines[] }>('/v1/sweep', {
    method: 'POST',
    body,
    patienceMs,
  })
  process.stdout.write(json ? `${JSON.stringify(regions, undefined, 2)}\n` : regions.map(story).join('\n'))
  const failed = regions.filter(({ failure }) => failure !== null)
  if (failed.length === 0) return
  throw new MusterError('unavailable', `there was no look at ${failed.length} of ${regions.length} regions`, {
    details: failed.map(({ region: id, failure }) => `${id}: ${failure}`),
  })
}

function story({ region, failure, machines, hosts, findings, confirmed_until: until }: RegionLines): string {
  if (failure !== null) return `${region}: no look: ${failure}\n`
  const confirmed = until !== null && Date.parse(until) > Date.now() ? `; confirmed until ${until}` : ''
  const heading = `${region}: ${machines} machines, ${hosts} hosts${confirmed}`
  if (findings.length === 0) return `${heading}: they agree\n`
  const rows = findings.map(({ kind, target, reason, state, due_at: dueAt }) => [
    dueAt === null ? state : `not before ${dueAt}`,
    acts[kind],
    target,
    reason,
  ])
  const held = findings.filter(({ state }) => state === 'held').length
  const advice =
    held === 0 ? '' : `${held} are held back; let them go on: npx muster sweep --region ${region} --confirm\n`
  return `${heading}\n${table(['WHEN', 'WHAT', 'TARGET', 'WHY'], rows)}${advice}`
}
