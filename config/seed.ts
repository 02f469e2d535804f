/** Seed files: regions and their images for a database that is new to Muster (config/seed/demo.yaml is one). */
import { readFileSync } from 'node:fs'

import { parse as parseYaml } from 'yaml'
import { z } from 'zod'

import { MusterError } from '../src/model/errors.ts'

const json = z.record(z.string(), z.json())
const image = z.strictObject({
  image_id: z.string().min(1),
  version: z.string().min(1),
  status: z.enum(['CANDIDATE', 'ACTIVE']).default('CANDIDATE'),
})
const region = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]+\/[A-Za-z0-9._-]+$/, 'must be provider/place, such as local/demo'),
  provider: z.string().min(1),
  enabled: z.boolean().optional(),
  algorithm: z.string().min(1).optional(),
  options: json.optional(),
  deadlines: json.optional(),
  blast_radius: json.optional(),
  /** As `regions.rollout` (docs/rollouts.md). */
  rollout: json.optional(),
  target_free_agents: z.int().min(0).optional(),
  min_hosts: z.int().min(0).optional(),
  max_hosts: z.int().min(0).optional(),
  max_surge_hosts: z.int().min(0).optional(),
  instance_types: z.array(z.string()).optional(),
  agents_per_host: z.int().min(1).max(1000).optional(),
  max_agents_per_user: z.int().min(1).max(1000).optional(),
  channel: z.string().optional(),
  images: z.array(image).default([]),
})
const seed = z.strictObject({ regions: z.array(region) })

export type SeedRegion = z.output<typeof region>

/** @throws MusterError `config-invalid` */
export function readSeed(path: string): readonly SeedRegion[] {
  let content: unknown
  try {
    content = parseYaml(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new MusterError('config-invalid', `the seed file ${path} cannot be read`, {
      cause: error,
      details: [error instanceof Error ? error.message : String(error)],
    })
  }
  const parsed = seed.safeParse(content)
  if (parsed.success) return parsed.data.regions
  throw new MusterError('config-invalid', `the seed file ${path} is not valid`, {
    details: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
  })
}
