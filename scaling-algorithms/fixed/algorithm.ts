/** Exactly N hosts, whatever the demand: the small example to copy (docs/algorithms.md). */
import { countCapacity, launchObstacle } from '../../src/model/capacity.ts'
import type { DrainDecision } from '../../src/model/decision.ts'
import { isTick } from '../../src/model/event.ts'
import { exchangedHosts, launchRoom } from '../../src/model/leaving.ts'
import type { ScalingAlgorithm } from '../../src/model/scaling-algorithm.ts'
import type { HostView, RegionSnapshot } from '../../src/model/snapshot.ts'
import type { FixedOptions } from './options.ts'
import { fixedOptions } from './options.ts'

export const algorithm: ScalingAlgorithm<FixedOptions> = {
  name: 'fixed',
  options: fixedOptions,
  plan(snapshot, event, options) {
    const { region, activeImage } = snapshot
    const wanted = Math.min(Math.max(options.hosts, region.minHosts), region.maxHosts)
    const { serving } = countCapacity(snapshot)
    const reason = `${wanted} hosts are to serve, ${serving} do`
    if (serving >= wanted) return isTick(event) ? drainEmpty(snapshot, wanted, reason) : []
    const obstacle = launchObstacle(snapshot)
    const count = Math.min(wanted - serving, launchRoom(snapshot))
    if (obstacle !== undefined || activeImage === undefined || count <= 0) {
      const why = obstacle ?? `max_hosts is ${region.maxHosts}`
      return [{ kind: 'refuse', target: null, reason: `${reason}, but ${why}` }]
    }
    return [{ kind: 'launch', count, imageId: activeImage.id, reason }]
  },
}

/** Of its image: hosts of others are the roll-outs' affair. */
function drainEmpty(snapshot: RegionSnapshot, wanted: number, reason: string): readonly DrainDecision[] {
  const { region, activeImage, hosts } = snapshot
  if (!region.enabled || activeImage === undefined) return []
  const exchanged = exchangedHosts(snapshot)
  const mayGo = (host: HostView): boolean =>
    host.status === 'ACTIVE' &&
    host.imageId === activeImage.id &&
    host.liveAgents === 0 &&
    !host.protected &&
    !exchanged.has(host.id)
  const surplus = countCapacity(snapshot).serving - wanted
  return hosts
    .filter(mayGo)
    .slice(0, surplus)
    .map((host) => ({ kind: 'drain', hostId: host.id, reason }))
}
