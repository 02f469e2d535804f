import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, expect, it } from 'vitest'

import { readSeed } from '../../../config/seed.ts'

const directory = mkdtempSync(join(tmpdir(), 'muster-seed-'))
afterAll(() => {
  rmSync(directory, { recursive: true })
})

const seed = (rollout: unknown): string => {
  const path = join(directory, 'seed.yaml')
  // JSON is YAML.
  writeFileSync(path, JSON.stringify({ regions: [{ id: 'local/demo', provider: 'local', rollout }] }))
  return path
}

it('a region may say what its roll-outs are to be like', () => {
  const rollout = { canary_share: 0.05, bake_s: 1800 }
  expect(readSeed(seed(rollout))).toMatchObject([{ id: 'local/demo', rollout }])
  expect(() => readSeed(seed('ready'))).toThrow(
    expect.objectContaining({ details: [expect.stringContaining('regions.0.rollout')] }),
  )
})
