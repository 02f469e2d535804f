import type { FastifyInstance } from 'fastify'
import { z } from 'zod'

import { countCapacity, launchObstacle } from '../../model/capacity.ts'
import { openBlocks } from '../../model/offering.ts'
import { leadingRollout } from '../../model/rollout.ts'
import { servingImages } from '../../model/serving-images.ts'
import type { RegionSnapshot } from '../../model/snapshot.ts'
import type { ApiContext } from '../context.ts'
import { figuresOf } from '../rollout-progress.ts'
import { timeText } from '../time-text.ts'
import { checked } from '../validation.ts'

const noQuery = z.strictObject({})

/** `GET /v1/regions`: from the mirror, so it answers without a database, with what was last known. */
export function regionRoutes(app: FastifyInstance, { view, assigner }: ApiContext): void {
  app.get('/v1/regions', { config: { access: 'read' } }, (request) => {
    checked(noQuery, request.query)
    const snapshots = [...view.regionIds].sort().map((id) => view.snapshot(id))
    return {
      regions: snapshots
        .filter((snapshot) => snapshot !== undefined)
        .map((snapshot) => shownRegion(snapshot, assigner.waitingUsers(snapshot.region.id))),
    }
  })
}

function shownRegion(snapshot: RegionSnapshot, waiting: number) {
  const { region, activeImage: image } = snapshot
  const { free, coming, live, hosts } = countCapacity(snapshot)
  const isCapacityKnown = region.agentsPerHostGiven !== null || region.agentsPerHostDiscovered !== null
  return {
    id: region.id,
    provider: region.provider,
    enabled: region.enabled,
    algorithm: region.algorithm,
    free,
    coming,
    waiting,
    live,
    target: region.targetFreeAgents,
    min_hosts: region.minHosts,
    max_hosts: region.maxHosts,
    hosts,
    image: image === undefined ? null : { id: image.id, image_id: image.imageId, version: image.version },
    serving: servingImages(snapshot).map(({ id, imageId, version, status }) => ({
      ...{ id, image_id: imageId, version, status },
      free: figuresOf(id, snapshot).free,
    })),
    rollout: showLeading(snapshot),
    agents_per_host: isCapacityKnown ? region.agentsPerHost : null,
    agents_per_host_from: region.agentsPerHostGiven !== null ? 'region' : isCapacityKnown ? 'provider' : null,
    launch_obstacle: launchObstacle(snapshot) ?? null,
    launch_blocked_until: timeText(snapshot.launchBlockedUntil ?? null),
    launch_failures: region.launchFailures,
    launch_error_code: region.launchErrorCode,
    launch_error: region.launchError,
    blocked_offerings: openBlocks(snapshot).map(({ instanceType, zone, lifecycle, code, reason, until }) => ({
      instance_type: instanceType,
      zone,
      lifecycle,
      code,
      reason,
      until: timeText(until),
    })),
  }
}

/** Shortly; `/v1/rollouts/:id` has the whole. */
function showLeading(snapshot: RegionSnapshot) {
  const leading = leadingRollout(snapshot)
  if (leading === undefined) return null
  const { id, version, state, stateSince, paused } = leading
  return { id, version, state, since: timeText(stateSince), paused }
}
