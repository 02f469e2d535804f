/**
 * The images that a deploy pipeline has put into MUSTER_IMAGES_FILE: a roll-out to each that its region has never had. The file is
 * read once, at the daemon's start; a region that had the image and left it (a roll-back, a later version) is not led back to
 * it by a restart.
 */
import type { VersionImages } from '../../config/images.ts'
import { isAborted } from '../lib/aborted.ts'
import { backoffMs } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { MusterError } from '../model/errors.ts'
import type { FleetStore, RolloutStart } from '../store/fleet-store.ts'

export interface ImagesFileOptions {
  readonly store: Pick<FleetStore, 'readRegionIds' | 'readImages' | 'startRollouts'>
  readonly images: VersionImages
  readonly newId: () => string
  readonly clock: Clock
  readonly logger: Logger
}

const actor = 'MUSTER_IMAGES_FILE'
const patience = { firstMs: 500, longestMs: 30_000 }

/** Resolves once all that is new has been started, in one transaction, or the signal is aborted; then false. */
export async function startImagesOfFile(options: ImagesFileOptions, signal: AbortSignal): Promise<boolean> {
  const { clock, logger } = options
  for (let failures = 1; !isAborted(signal); failures += 1) {
    try {
      await startNew(options)
      return true
    } catch (error) {
      const isLater = error instanceof MusterError && error.retryable
      logger.error({ err: error }, 'the images of MUSTER_IMAGES_FILE are not rolled out yet')
      if (!isLater) return true
      await clock.sleep(backoffMs(failures, patience), signal).catch(() => undefined)
    }
  }
  return false
}

// Dies the process before the answer, the next one finds the images there.
async function startNew({
  store,
  images: { version, images },
  newId,
  logger,
}: ImagesFileOptions): Promise<void> {
  const there = new Set(await store.readRegionIds())
  const starts: RolloutStart[] = []
  for (const [regionId, imageId] of Object.entries(images)) {
    if (!there.has(regionId)) {
      logger.warn({ region: regionId, imageId }, 'MUSTER_IMAGES_FILE names a region that does not exist')
      continue
    }
    const had = await store.readImages(regionId)
    if (had.some((image) => image.imageId === imageId && image.version === version)) continue
    starts.push({ regionId, imageId, version, options: {} })
  }
  if (starts.length === 0) return
  const led = await store.startRollouts(starts, starts.length > 1 ? newId() : null, actor)
  logger.info({ version, regions: led.map(({ regionId }) => regionId) }, 'rolled out from MUSTER_IMAGES_FILE')
}
