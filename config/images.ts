/** Images files: what a deploy pipeline writes of a version, one image for each region (docs/rollouts.md). */
import { readFileSync } from 'node:fs'

import { z } from 'zod'

import { MusterError } from '../src/model/errors.ts'
import type { Settings } from './schema.ts'

export interface VersionImages {
  readonly version: string
  /** Region to the provider's own name of its image; one region or more. */
  readonly images: Readonly<Record<string, string>>
}

const text = (max: number) =>
  z
    .string()
    .min(1, 'must not be empty')
    .max(max)
    .refine((given) => !/[\p{Cc}\p{Cs}]/u.test(given), 'must hold no control characters')
const version = text(128)
const images = z
  .record(z.string().regex(/^[^/\s]+\/\S+$/, 'must be a region, such as aws/us-east-1'), text(512))
  .refine((map) => Object.keys(map).length > 0, 'must name at least one region')
const withVersion = z.strictObject({ version, images })

/**
 * Read a map of regions to images, `{"aws/us-east-1": "ami-…"}`, or `{"version": "…", "images": {…}}`. `given` is the version that
 * was said beside it, and `sayVersion` how that is done.
 * @throws MusterError `config-invalid` with every fault in `details`
 */
export function readImages(path: string, given: string | undefined, sayVersion: string): VersionImages {
  const content = parseFile(path)
  const isWhole = isMap(content) && ('version' in content || 'images' in content)
  const parsed = isWhole
    ? withVersion.safeParse(content)
    : z.object({ images, version }).safeParse({ images: content, version: given ?? 'not said' })
  const faults = parsed.success ? [] : parsed.error.issues.map(faultText)
  if (!isWhole && given === undefined) {
    faults.push(`its version is not said: ${sayVersion}, or write {"version": "…", "images": {…}}`)
  }
  if (parsed.success && given !== undefined && parsed.data.version !== given) {
    faults.push(
      `it is of version ${parsed.data.version}, and ${given} was said: ${sayVersion} as the file has it`,
    )
  }
  if (parsed.success && faults.length === 0) return parsed.data
  throw new MusterError('config-invalid', `the images file ${path} is not valid`, { details: faults })
}

/** Of MUSTER_IMAGES_FILE; undefined when there is none. @throws MusterError as `readImages` */
export function imagesOfSettings(
  settings: Pick<Settings, 'MUSTER_IMAGES_FILE' | 'MUSTER_IMAGES_VERSION'>,
): VersionImages | undefined {
  const { MUSTER_IMAGES_FILE: path, MUSTER_IMAGES_VERSION: given } = settings
  return path === undefined ? undefined : readImages(path, given, 'set MUSTER_IMAGES_VERSION')
}

function parseFile(path: string): unknown {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    throw new MusterError('config-invalid', `the images file ${path} cannot be read`, {
      cause: error,
      details: [error instanceof Error ? error.message : String(error)],
    })
  }
  try {
    return JSON.parse(content) as unknown
  } catch (error) {
    throw new MusterError('config-invalid', `the images file ${path} is not JSON`, {
      cause: error,
      details: [error instanceof Error ? error.message : String(error)],
    })
  }
}

function isMap(content: unknown): content is Readonly<Record<string, unknown>> {
  return typeof content === 'object' && content !== null && !Array.isArray(content)
}

function faultText({ path, message }: z.core.$ZodIssue): string {
  const [place, ...inner] = path.map(String)
  if (place === undefined) return message
  const what =
    place === 'images' && inner.length === 0 ? 'the map of regions to images' : [place, ...inner].join('.')
  return `${what}: ${message}`
}
