import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { imagesOfSettings, readImages } from '../../../config/images.ts'
import { loadConfig } from '../../../config/load.ts'
import { MusterError } from '../../../src/model/errors.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'muster-images-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const file = (content: unknown): string => {
  const path = join(folder, 'images.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}
const read = (content: unknown, version?: string) => readImages(file(content), version, 'add --version V')
const faultsOf = (work: () => unknown): readonly string[] => {
  try {
    work()
  } catch (error) {
    if (error instanceof MusterError && error.code === 'config-invalid')
      return [error.message, ...error.details]
    throw error
  }
  throw new Error('no fault')
}
const images = { 'aws/us-east-1': 'ami-1', 'local/demo': 'demo' }

describe('an images file', () => {
  it('is a map with its version said beside it, or holds both; what is said twice agrees', () => {
    const whole = { version: '2.0.0', images }
    expect(read(images, '2.0.0')).toEqual(whole)
    expect(read(whole)).toEqual(whole)
    expect(read(whole, '2.0.0')).toEqual(whole)
    expect(faultsOf(() => read(whole, '2.0.1'))[1]).toBe(
      'it is of version 2.0.0, and 2.0.1 was said: add --version V as the file has it',
    )
    expect(faultsOf(() => read(images))[1]).toBe(
      'its version is not said: add --version V, or write {"version": "…", "images": {…}}',
    )
  })

  it.each([
    ['{"a', 'is not JSON'],
    [[images], 'the map of regions to images: Invalid input'],
    ['"ami-1"', 'the map of regions to images'],
    ['null', 'the map of regions to images'],
    [{}, 'must name at least one region'],
    [{ demo: 'ami-1' }, 'images.demo: '],
    [{ 'aws/us-east-1': 7 }, 'images.aws/us-east-1: '],
    [{ 'aws/us-east-1': '' }, 'must not be empty'],
    [{ 'aws/us-east-1': 'a\u0000' }, 'must hold no control characters'],
    [{ version: '2', images: {} }, 'must name at least one region'],
    [{ version: '', images }, 'version: must not be empty'],
    [{ images }, 'version: '],
    [{ version: '2', images, group: true }, 'group'],
  ])('with faults says them: %j', (content, fault) => {
    expect(faultsOf(() => read(content, '2')).join('\n')).toContain(fault)
  })

  it('that is not there is a fault, of the settings too; without one there is none', () => {
    const path = join(folder, 'none.json')
    expect(
      faultsOf(() => imagesOfSettings({ MUSTER_IMAGES_FILE: path, MUSTER_IMAGES_VERSION: undefined })),
    ).toEqual([`the images file ${path} cannot be read`, expect.stringContaining('ENOENT')])
    expect(imagesOfSettings({ MUSTER_IMAGES_FILE: undefined, MUSTER_IMAGES_VERSION: '2' })).toBeUndefined()
    const { warnings } = loadConfig(
      { MUSTER_IMAGES_VERSION: '2', MUSTER_DATA_DIR: folder },
      { generate: true },
    )
    expect(warnings).toEqual(['MUSTER_IMAGES_VERSION: it counts for nothing without MUSTER_IMAGES_FILE'])
  })
})
