/** Hosts of images that nobody keeps: they take no more users, and leave as their sessions end. */
import type { DrainDecision, ReportDecision } from '../model/decision.ts'
import type { HostView, RegionSnapshot } from '../model/snapshot.ts'

/** One turn's commit stays small; the rest goes with the next. */
const mostDrains = 400

export interface Leavers {
  /** `images.id` of images whose hosts stay. */
  readonly kept: ReadonlySet<string>
  /** Whether the ACTIVE image has its agents free. */
  readonly isFull: boolean
  /** Hosts that the ACTIVE image lacks and that only max_hosts stands against. */
  readonly withoutRoom: number
}

/**
 * What a roll-out has led from or to leaves at once, the oldest first: it decided that nobody needs them. Hosts of other
 * images (somebody changed images by hand) leave once the ACTIVE image has its agents free; before that, only as many empty ones
 * as it lacks room for.
 */
export function drainLeavers(
  snapshot: RegionSnapshot,
  { kept, isFull, withoutRoom }: Leavers,
): readonly (DrainDecision | ReportDecision)[] {
  if (!snapshot.region.enabled) return []
  const leaving = snapshot.hosts.filter(
    (host) => isOnDuty(host) && (host.imageId === null || !kept.has(host.imageId)),
  )
  if (leaving.length === 0) return []
  const behind = new Map(
    snapshot.rollouts.flatMap((rollout) => {
      const { state, fromImage, toImage, options } = rollout
      const from = state === 'ROLLING_BACK' ? toImage : fromImage
      return state === 'ROLLING_BACK' || state === 'DRAINING'
        ? [[from, options.notify_sessions] as const]
        : []
    }),
  )
  const byAge = leaving.toSorted(
    (one, other) => one.createdAt - other.createdAt || (one.id < other.id ? -1 : 1),
  )
  const roomToMake = Math.max(0, withoutRoom - snapshot.hosts.filter(isGoing).length)
  let madeRoom = 0
  const decisions = byAge.flatMap((host): DrainDecision | ReportDecision | readonly never[] => {
    const notify = behind.get(host.imageId ?? '')
    if (host.protected) {
      return { kind: 'report', hostId: host.id, reason: 'its image is not kept any more; it is protected' }
    }
    if (notify !== undefined) return drain(host, 'its image leaves the region with its roll-out', notify)
    if (isFull) return drain(host, 'its image is not the ACTIVE one, which has its agents free', false)
    if (host.liveAgents > 0 || madeRoom >= roomToMake) return []
    madeRoom += 1
    const { maxHosts } = snapshot.region
    return {
      kind: 'drain',
      hostId: host.id,
      reason: `it is empty, its image is not the ACTIVE one, and max_hosts ${maxHosts} leaves no room for that`,
    }
  })
  const isDrain = ({ kind }: { readonly kind: string }): boolean => kind === 'drain'
  return [
    ...decisions.filter(isDrain).slice(0, mostDrains),
    ...decisions.filter((decision) => !isDrain(decision)).slice(0, mostDrains),
  ]
}

function drain(host: HostView, reason: string, notify: boolean): DrainDecision {
  return { kind: 'drain', hostId: host.id, reason, withSessions: true, ...(notify ? { notify } : {}) }
}

function isOnDuty({ status }: HostView): boolean {
  return status === 'LAUNCHING' || status === 'PRE_CONNECTION' || status === 'ACTIVE'
}

function isGoing({ status, liveAgents }: HostView): boolean {
  return status === 'TERMINATING' || (status === 'DRAINING' && liveAgents === 0)
}
