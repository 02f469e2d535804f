import { randomUUID } from 'node:crypto'

import type { FastifyInstance } from 'fastify'
import { z } from 'zod'

import { MusterError } from '../../model/errors.ts'
import type { Image } from '../../model/region.ts'
import type { Rollout, RolloutWish } from '../../model/rollout.ts'
import { rolloutWishes } from '../../model/rollout.ts'
import type { RolloutStart } from '../../store/fleet-store.ts'
import type { ApiContext } from '../context.ts'
import { canaryShare, rolloutOptions } from '../rollout-options.ts'
import { shownRollouts } from '../shown-rollouts.ts'
import { checked, isStorable, plainText } from '../validation.ts'

const mostRegions = 200
const mostNamed = 20

const rolloutsQuery = z.strictObject({
  region: plainText(128).optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(1).max(1000))
    .default(100),
})
const startBody = z.strictObject({
  version: plainText(128),
  /** Region to the provider's own name of its image. */
  images: z
    .record(plainText(128), plainText(512))
    .refine((images) => Object.keys(images).length > 0, 'must name at least one region')
    .refine(
      (images) => Object.keys(images).length <= mostRegions,
      `must name at most ${mostRegions} regions`,
    ),
  /** Switched together, or none; of several regions unless told. */
  group: z.boolean().default(true),
  canary_share: canaryShare.optional(),
  options: rolloutOptions.default({}),
})
const noQuery = z.strictObject({})
const noBody = z.strictObject({}).optional()

/** `GET` and `POST /v1/rollouts`, `GET /v1/rollouts/:id` and `POST /v1/rollouts/:id/{pause,resume,switch,rollback}` */
export function rolloutRoutes(app: FastifyInstance, context: ApiContext): void {
  const { store } = context

  app.get('/v1/rollouts', { config: { access: 'read' } }, async (request) => {
    const { region, limit } = checked(rolloutsQuery, request.query)
    const found = await store.readRollouts({ limit, ...(region === undefined ? {} : { region }) })
    return { rollouts: await shownRollouts(context, found) }
  })

  app.get<{ Params: { id: string } }>('/v1/rollouts/:id', { config: { access: 'read' } }, async (request) => {
    checked(noQuery, request.query)
    return one(context, await known(context, request.params.id))
  })

  app.post('/v1/rollouts', { config: { access: 'operate' } }, async (request) =>
    start(context, checked(startBody, request.body ?? {}), request.caller),
  )

  for (const wish of rolloutWishes) {
    app.post<{ Params: { id: string } }>(
      `/v1/rollouts/:id/${wish}`,
      { config: { access: 'operate' } },
      async (request) => {
        checked(noBody, request.body)
        const { id } = await known(context, request.params.id)
        return one(context, await steer(context, id, wish, request.caller))
      },
    )
  }
}

/** What is already led to, or ACTIVE, stays as it is: so the request may be repeated. */
async function start(context: ApiContext, body: z.output<typeof startBody>, caller: string) {
  const { store, view, wake } = context
  const { version, images, group, canary_share: share, options } = body
  const regionIds = Object.keys(images).sort()
  const unknown = regionIds.filter((id) => !view.regionIds.includes(id))
  if (unknown.length > 0) throw noSuchRegions(unknown, view.regionIds)
  const starts = regionIds.map((regionId): RolloutStart => ({
    regionId,
    imageId: images[regionId] ?? '',
    version,
    options: { ...given(options), ...(share === undefined ? {} : { canary_share: share }) },
  }))
  const groupId = group && starts.length > 1 ? randomUUID() : null
  const led = await store.startRollouts(starts, groupId, caller)
  for (const { regionId } of led) wake(regionId, { kind: 'api', what: 'rollout' })
  const { rollouts } = await store.readRows({ rollouts: led.map(({ id }) => id) })
  const shown = await shownRollouts(context, rollouts)
  const shownOf = new Map(shown.map((rollout) => [rollout.id, rollout]))
  return {
    regions: led
      .toSorted((one, other) => (one.regionId < other.regionId ? -1 : 1))
      .map((image) => ({
        region: image.regionId,
        image: shownImage(image),
        rollout: shownOf.get(image.id) ?? null,
      })),
  }
}

async function steer(context: ApiContext, id: string, wish: RolloutWish, caller: string): Promise<Rollout> {
  const { store, wake } = context
  const steered = await store.steerRollout(id, wish, caller)
  if (steered === undefined) {
    const { state } = await known(context, id)
    throw new MusterError('conflict', `roll-out ${id} is ${state}: it is past ${wish}`)
  }
  const members = await store.readRollouts({ groups: [steered.groupId], limit: mostRegions })
  for (const { regionId } of members) wake(regionId, { kind: 'api', what: wish })
  return steered
}

async function known({ store }: ApiContext, id: string): Promise<Rollout> {
  // No row has an id that cannot be stored.
  const rollout = isStorable(id) ? await store.readRollout(id) : undefined
  if (rollout === undefined) throw new MusterError('not-found', `there is no roll-out ${JSON.stringify(id)}`)
  return rollout
}

async function one(context: ApiContext, rollout: Rollout) {
  const [shown] = await shownRollouts(context, [rollout])
  return shown
}

function shownImage({ id, imageId, version, status }: Image) {
  return { id, image_id: imageId, version, status }
}

function noSuchRegions(unknown: readonly string[], known: readonly string[]): MusterError {
  const names = unknown.map((id) => JSON.stringify(id)).join(', ')
  const there = [...known].sort()
  const others = there.length > mostNamed ? `, and ${there.length - mostNamed} more` : ''
  return new MusterError(
    'not-found',
    `there is no region ${names}; there are ${there.slice(0, mostNamed).join(', ')}${others}`,
  )
}

/** Without what was not said. */
function given(options: z.output<typeof rolloutOptions>): RolloutStart['options'] {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}
