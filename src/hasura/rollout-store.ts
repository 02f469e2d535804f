/** Roll-outs: what people start and steer, how a canary does, and the switch of a group. */
import { z } from 'zod'

import type { FleetStore } from '../store/fleet-store.ts'
import { callFunction, parse } from './call-function.ts'
import type { HasuraClient } from './client.ts'
import { documents } from './documents.ts'
import { imageRow } from './region-rows.ts'
import { rolloutRow } from './rollout-rows.ts'

type Rollouts = Pick<
  FleetStore,
  | 'readRolloutHealth'
  | 'switchRollouts'
  | 'startRollouts'
  | 'steerRollout'
  | 'readRollouts'
  | 'readRollout'
  | 'readImages'
>

/** That so many hosts in a row never connected is bad; more need not be counted. */
const mostHostsCounted = 10

const someRollouts = z.object({ rollouts: z.array(rolloutRow) })
const someImages = z.object({ images: z.array(imageRow) })
const count = z
  .object({ aggregate: z.object({ count: z.number() }) })
  .transform(({ aggregate }) => aggregate.count)
const health = z.object({
  candidate: count,
  candidateFailed: count,
  control: count,
  controlFailed: count,
  hosts: z.array(z.object({ heartbeat_at: z.string().nullable() })),
})

export function createRolloutStore(client: HasuraClient): Rollouts {
  const read = async (where: object, limit: number) => {
    const answer = await client.request(documents.rollouts, { where, limit })
    return parse(someRollouts, answer, 'fleet_rollouts').rollouts
  }
  return {
    readRolloutHealth: async ({ id, toImage }) => {
      const variables = { rollout: id, image: toImage, hosts: mostHostsCounted }
      const found = parse(health, await client.request(documents.rolloutHealth, variables), 'a canary')
      const connected = found.hosts.findIndex((host) => host.heartbeat_at !== null)
      return {
        candidate: { sessions: found.candidate, failed: found.candidateFailed },
        control: { sessions: found.control, failed: found.controlFailed },
        neverConnected: connected === -1 ? found.hosts.length : connected,
      }
    },
    switchRollouts: (groupId, fence) =>
      callFunction(client, 'switch_rollouts', { group_id: groupId, fence }, rolloutRow),
    startRollouts: (starts, groupId, actor) => {
      const requests = starts.map(({ regionId, imageId, version, options }) => ({
        ...{ region_id: regionId, image_id: imageId, version, options },
      }))
      return callFunction(client, 'start_rollouts', { requests, group_id: groupId, actor }, imageRow)
    },
    steerRollout: async (rolloutId, wish, actor) => {
      const args = { rollout_id: rolloutId, action: wish, actor }
      const [row] = await callFunction(client, 'steer_rollout', args, rolloutRow)
      return row
    },
    readRollouts: ({ region, groups, limit }) => {
      const where = {
        ...(region === undefined ? {} : { region_id: { _eq: region } }),
        ...(groups === undefined ? {} : { group_id: { _in: groups } }),
      }
      return read(where, limit)
    },
    readRollout: async (id) => (await read({ id: { _eq: id } }, 1))[0],
    readImages: async (region) => {
      const answer = await client.request(documents.imagesOfRegion, { region })
      return parse(someImages, answer, 'fleet_images').images
    },
  }
}
