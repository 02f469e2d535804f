import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { algorithms, loadAlgorithm, parseOptions } from '../../../scaling-algorithms/index.ts'

let directory: string
const writeModule = (name: string, source: string): string => {
  const path = join(directory, name)
  writeFileSync(path, source)
  return path
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'muster-algorithms-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const sound = `export const algorithm = {
  name: 'mine', options: { safeParse: (data) => ({ success: true, data }) }, plan: () => [] }`

describe('the registry of algorithms', () => {
  it('knows each plugin by its own name', async () => {
    for (const [name, algorithm] of Object.entries(algorithms)) {
      expect(algorithm.name).toBe(name)
      expect(await loadAlgorithm(name)).toBe(algorithm)
    }
  })

  it.each(['defualt', '', 'constructor', '__proto__'])(
    'lists the known names for the unknown %o',
    async (name) => {
      await expect(loadAlgorithm(name)).rejects.toMatchObject({
        code: 'algorithm-invalid',
        message: expect.stringMatching(/use one of default, fixed, or the path of a module/) as unknown,
      })
    },
  )

  it('loads a module by absolute path, relative path and file URL', async () => {
    const path = writeModule('sound.mjs', sound)
    for (const name of [path, `./${relative(process.cwd(), path)}`, pathToFileURL(path).href]) {
      expect(await loadAlgorithm(name)).toMatchObject({ name: 'mine' })
    }
  })

  it('says what is wrong with a module that is no algorithm, all at once', async () => {
    const path = writeModule('shapeless.mjs', 'export const algorithm = { options: {}, rank: 7 }')
    await expect(loadAlgorithm(path)).rejects.toMatchObject({
      code: 'algorithm-invalid',
      details: [
        expect.stringMatching(/^name: /),
        expect.stringMatching(/^options: /),
        expect.stringMatching(/^plan: /),
        expect.stringMatching(/^rank: /),
      ],
    })
  })

  it.each([
    ['without an export', 'export const other = 1', /must export a ScalingAlgorithm as "algorithm"/],
    ['that throws', 'throw new Error("boom")', /cannot be loaded: boom/],
    ['that throws nothing much', 'throw undefined', /cannot be loaded: undefined/],
  ])('refuses a module %s', async (name, source, message) => {
    const path = writeModule(`${name.replaceAll(' ', '-')}.mjs`, source)
    await expect(loadAlgorithm(path)).rejects.toMatchObject({
      code: 'algorithm-invalid',
      message: expect.stringMatching(message) as unknown,
    })
  })

  it('says that a module is not there', async () => {
    await expect(loadAlgorithm('./no/such/module.ts')).rejects.toMatchObject({ code: 'algorithm-invalid' })
  })
})

describe('options of an algorithm', () => {
  it('are filled up with defaults', () => {
    expect(parseOptions(algorithms.default, {})).toEqual({ idle_seconds: 0 })
  })

  it('are refused with all their faults together', () => {
    const wrong = () => parseOptions(algorithms.default, { idle_seconds: -1, idle_secs: 3 })
    expect(wrong).toThrow(
      expect.objectContaining({
        code: 'algorithm-invalid',
        details: [expect.stringMatching(/^idle_seconds: /), expect.stringMatching(/idle_secs/)],
      }),
    )
    expect(() => parseOptions(algorithms.fixed, {})).toThrow(/algorithm "fixed" are wrong: hosts: /)
  })

  it('are refused when a schema throws', () => {
    const broken = {
      ...algorithms.fixed,
      options: {
        safeParse: () => {
          throw new Error('no schema')
        },
      },
    }
    expect(() => parseOptions(broken, {})).toThrow(/cannot be read: no schema/)
  })
})
