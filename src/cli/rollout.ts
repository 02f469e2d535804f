import { readImages } from '../../config/images.ts'
import type { RolloutWish } from '../model/rollout.ts'
import { callApi } from './api-client.ts'
import { followRollouts } from './rollout-status.ts'
import type { RolloutLine } from './rollout-text.ts'
import { rolloutStory } from './rollout-text.ts'

export interface StartOptions {
  readonly images: string
  readonly version?: string
  readonly canary?: number
  readonly option?: Readonly<Record<string, unknown>>
  readonly group: boolean
  readonly watch?: boolean
  readonly json?: boolean
}

interface Started {
  readonly regions: readonly {
    readonly region: string
    readonly image: { readonly image_id: string; readonly version: string; readonly status: string }
    readonly rollout: RolloutLine | null
  }[]
}

const said: Readonly<Record<RolloutWish, string>> = {
  pause: 'is held where it is',
  resume: 'goes on',
  switch: 'will be switched, with its group, as soon as their buffers are full',
  rollback: 'will be led back',
}

/** Start what a file says; gives the exit code. @throws MusterError `config-invalid` when the file is wrong */
export async function startRollout(options: StartOptions): Promise<number> {
  const { version, images } = readImages(options.images, options.version, 'add --version V')
  const { regions } = await callApi<Started>('/v1/rollouts', {
    method: 'POST',
    body: {
      ...{ version, images, group: options.group, options: options.option ?? {} },
      ...(options.canary === undefined ? {} : { canary_share: options.canary }),
    },
  })
  if (options.json && !options.watch) process.stdout.write(`${JSON.stringify(regions, undefined, 2)}\n`)
  else if (!options.json) process.stdout.write(startedText(regions))
  const ids = regions.flatMap(({ rollout }) => (rollout === null ? [] : [rollout.id]))
  if (!options.watch) {
    if (!options.json && ids.length > 0)
      process.stdout.write('follow it with: npx muster rollout status --watch\n')
    return 0
  }
  return followRollouts(ids, options.json ?? false)
}

/** Tell one roll-out something. */
export async function steerRollout(id: string, wish: RolloutWish): Promise<void> {
  const path = `/v1/rollouts/${encodeURIComponent(id)}/${wish}`
  const rollout = await callApi<RolloutLine>(path, { method: 'POST' })
  const does =
    wish === 'pause' && rollout.state === 'ROLLING_BACK'
      ? 'goes back, and a pause does not hold that'
      : said[wish]
  process.stdout.write(`roll-out ${id} ${does}\n${rolloutStory(rollout, Date.now())}`)
}

function startedText(regions: Started['regions']): string {
  return regions
    .map(({ region, image, rollout }) =>
      rollout === null
        ? `${region}: ${image.image_id} (${image.version}) is ${image.status}; there is nothing to roll out\n`
        : `${region}: roll-out ${rollout.id} to ${image.image_id} (${image.version}) is ${rollout.state}\n`,
    )
    .join('')
}
