/** Roll-outs as people read them: pure, from the API's answers and the time. */
import type { RolloutState } from '../model/rollout.ts'
import { isOver } from '../model/rollout.ts'
import { table } from './table.ts'

interface ImageLine {
  readonly image_id: string | null
  readonly version: string | null
  readonly hosts: number
  readonly coming: number
  readonly free: number
  readonly live: number
}

interface ArmLine {
  readonly sessions: number
  readonly failed: number
}

/** Of `GET /v1/rollouts`, what the command line looks at. */
export interface RolloutLine {
  readonly id: string
  readonly region: string
  readonly version: string
  readonly state: RolloutState
  readonly since: string
  readonly paused: boolean
  readonly reason: string | null
  readonly waits_for: string | null
  readonly deadline: string | null
  readonly from: ImageLine
  readonly to: ImageLine
  readonly missing_hosts: number | null
  readonly canary: {
    readonly candidate: ArmLine
    readonly control: ArmLine
    readonly never_connected: number
  } | null
  readonly canary_share: number
  readonly group: {
    readonly id: string
    readonly members: readonly {
      readonly id: string
      readonly region: string
      readonly state: RolloutState
    }[]
  } | null
}

/** A line for each. */
export function rolloutTable(rollouts: readonly RolloutLine[], now: number): string {
  if (rollouts.length === 0) return 'there are no roll-outs\n'
  return table(
    ['ROLL-OUT', 'REGION', 'VERSION', 'STATE', 'FOR', 'LEFT', 'NEW HOSTS', 'FREE', 'CANARY', 'WAITS FOR'],
    rollouts.map((rollout) => [
      rollout.id,
      rollout.region,
      `${rollout.from.version ?? '?'} → ${rollout.version}`,
      stateText(rollout),
      isOver(rollout) ? '-' : duration(now - Date.parse(rollout.since)),
      rollout.deadline === null ? '-' : duration(Date.parse(rollout.deadline) - now),
      // Of one that is over they belong to whatever has come since.
      ...(isOver(rollout) ? ['-', '-'] : [hostsText(rollout) + lackText(rollout), String(rollout.to.free)]),
      canaryText(rollout) ?? '-',
      rollout.waits_for ?? rollout.reason ?? '',
    ]),
  )
}

/** All that is known of one, on lines of their own. */
export function rolloutStory(rollout: RolloutLine, now: number): string {
  const { from, to, deadline, group } = rollout
  const image = ({ image_id: id, version, hosts, coming, free, live }: ImageLine): string =>
    `${id ?? '?'} (${version ?? '?'}): ${several(hosts, 'host')}, ${coming} of them on their way; ${several(free, 'free agent')}, ${live} live`
  const rows: (readonly [string, string | undefined])[] = [
    ['roll-out', rollout.id],
    ['region', rollout.region],
    ['state', `${stateText(rollout)} since ${rollout.since}`],
    ['because', rollout.reason ?? undefined],
    ['waits for', rollout.waits_for ?? undefined],
    ['deadline', deadline === null ? undefined : `${deadline}, in ${duration(Date.parse(deadline) - now)}`],
    ['from', image(from)],
    ['to', image(to)],
    ['canary', canaryText(rollout)],
    ['group', group?.members.map(({ region, state }) => `${region} ${state}`).join(', ')],
  ]
  return rows.map(([name, text]) => (text === undefined ? '' : `  ${name.padEnd(10)}${text}\n`)).join('')
}

/** What has changed, for a reader that is no terminal: nothing in it moves by itself. */
export function rolloutEvent(rollout: RolloutLine): string {
  const { region, version, to, canary } = rollout
  const figures = [
    `${hostsText(rollout)} new hosts${lackText(rollout)}`,
    several(to.free, 'free agent'),
    ...(canary === null ? [] : [`canary ${canaryText(rollout) ?? ''}`]),
  ]
  const why = rollout.waits_for === null ? rollout.reason : `waits for ${rollout.waits_for}`
  return `${region} ${version} ${stateText(rollout)}: ${figures.join(', ')}${why === null ? '' : `; ${why}`}`
}

/** Lines that are no longer than the terminal is wide, so that as many rows are taken as there are lines. */
export function fitted(text: string, columns: number): string {
  return text
    .split('\n')
    .map((line) => (line.length > columns ? `${line.slice(0, Math.max(0, columns - 1))}…` : line))
    .join('\n')
}

function stateText({ state, paused }: RolloutLine): string {
  return paused && !isOver({ state }) ? `${state} (paused)` : state
}

/** Those that have connected, of all. */
function hostsText({ to }: RolloutLine): string {
  return `${to.hosts - to.coming}/${to.hosts}`
}

function lackText({ missing_hosts: missing, state }: RolloutLine): string {
  return state === 'PREPARING' && missing !== null && missing > 0 ? `, ${missing} missing` : ''
}

function several(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Undefined: it has none. */
function canaryText({ canary, canary_share: share, state }: RolloutLine): string | undefined {
  if (canary === null) {
    if (share === 0) return undefined
    return state === 'PREPARING' || state === 'READY' ? `${percent(share)}, not begun` : percent(share)
  }
  const { candidate, control, never_connected: never } = canary
  const arm = ({ failed, sessions }: ArmLine): string => `${failed}/${sessions}`
  const hosts = never === 0 ? '' : `, ${never} hosts never connected`
  return `${arm(candidate)} failed, old ${arm(control)}${hosts}`
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`
}

/** To the second, in at most two units. */
export function duration(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000)
  const sign = ms < 0 && seconds > 0 ? '-' : ''
  if (seconds < 60) return `${sign}${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${sign}${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48
    ? `${sign}${hours} h ${minutes % 60} min`
    : `${sign}${Math.floor(hours / 24)} d ${hours % 24} h`
}
