import type { RolloutState } from '../model/rollout.ts'
import { callApi } from './api-client.ts'
import { table } from './table.ts'

interface RegionLine {
  readonly id: string
  readonly provider: string
  readonly enabled: boolean
  readonly free: number
  readonly coming: number
  readonly waiting: number
  readonly live: number
  readonly target: number
  readonly agents_per_host: number | null
  readonly agents_per_host_from: 'region' | 'provider' | null
  readonly rollout: {
    readonly version: string
    readonly state: RolloutState
    readonly paused: boolean
  } | null
  readonly launch_obstacle: string | null
  readonly blocked_offerings: readonly {
    readonly instance_type: string
    readonly zone: string
    readonly lifecycle: string
    readonly code: string
    readonly reason: string
    readonly until: string
  }[]
}

/** Print the regions' figures, and what keeps each from launching. */
export async function regions(options: { json?: boolean }): Promise<void> {
  const { regions: lines } = await callApi<{ regions: readonly RegionLine[] }>('/v1/regions')
  process.stdout.write(options.json ? `${JSON.stringify(lines, undefined, 2)}\n` : regionText(lines))
}

/** Figures as a table; below it, for each region that has some, its obstacle and its blocked offerings. */
export function regionText(lines: readonly RegionLine[]): string {
  const figures = table(
    ['REGION', 'PROVIDER', 'FREE', 'COMING', 'TARGET', 'LIVE', 'WAITING', 'AGENTS/HOST', 'ROLL-OUT'],
    lines.map((region) => [
      ...[region.id, region.provider],
      ...[region.free, region.coming, region.target, region.live, region.waiting].map(String),
      capacity(region),
      leading(region),
    ]),
  )
  const troubles = lines.flatMap((region) => [
    ...(region.launch_obstacle === null ? [] : [`${region.id}: ${region.launch_obstacle}`]),
    ...region.blocked_offerings.map(
      ({ instance_type: type, zone, lifecycle, code, reason, until }) =>
        `${region.id}: ${[type, zone, lifecycle].filter((part) => part !== '').join(' ')} is not asked for until ${until}: ${code}: ${reason}`,
    ),
  ])
  return troubles.length === 0 ? figures : `${figures}\n${troubles.join('\n')}\n`
}

function leading({ rollout }: RegionLine): string {
  return rollout === null ? '-' : `${rollout.version} ${rollout.state}${rollout.paused ? ' (paused)' : ''}`
}

function capacity({ agents_per_host: agents, agents_per_host_from: from }: RegionLine): string {
  if (agents === null) return 'unknown'
  return from === 'provider' ? `${agents} (as the provider says)` : String(agents)
}
