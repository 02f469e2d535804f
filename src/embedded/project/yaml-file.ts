/**
 * YAML as the Hasura CLI writes it: a string `!include path` stands for the content of another file, by a path relative
 * to the file that holds it.
 */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { parse } from 'yaml'
import type { z } from 'zod'

import { MusterError } from '../../model/errors.ts'

const include = /^!include\s+(.+)$/
const deepest = 20
/** What each file held, so that faults are told of the file that has them. */
const files = new WeakMap<object, string>()

/** A value with all its inclusions replaced. @throws MusterError `config-invalid` that names the file. */
export async function readYaml(path: string, depth = 0): Promise<unknown> {
  if (depth > deepest) throw invalid(path, ['files include one another without end'])
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw invalid(path, [error instanceof Error ? error.message : String(error)])
  })
  let value: unknown
  try {
    value = parse(text, {
      // Written without quotes, `!include path` is a tag; it means the same.
      customTags: [{ tag: '!include', resolve: (included: string) => `!include ${included}` }],
    })
  } catch (error) {
    throw invalid(path, [error instanceof Error ? error.message : String(error)])
  }
  const expanded = await expand(value, path, depth)
  // What is nothing but an inclusion is the included file's.
  if (typeof expanded === 'object' && expanded !== null && !files.has(expanded)) files.set(expanded, path)
  return expanded
}

async function expand(value: unknown, path: string, depth: number): Promise<unknown> {
  if (typeof value === 'string') {
    const included = include.exec(value)?.[1]
    return included === undefined ? value : await readYaml(resolve(dirname(path), included.trim()), depth + 1)
  }
  if (Array.isArray(value)) return await Promise.all(value.map((item) => expand(item, path, depth)))
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(
      async ([key, item]) => [key, await expand(item, path, depth)] as const,
    )
    return Object.fromEntries(await Promise.all(entries))
  }
  return value
}

/** All faults of one file together. @throws MusterError `config-invalid` */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  path: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => {
    const file = fileOf(value, issue.path, path)
    const place = `${issue.path.join('.')}: ${issue.message}`
    return file === path ? place : `${file}: ${place}`
  })
  throw invalid(path, faults)
}

/** The file that holds what stands at `place` in a value that `readYaml` gave. */
export function fileOf(value: unknown, place: readonly PropertyKey[], path: string): string {
  let file = path
  let at = value
  for (const key of [undefined, ...place]) {
    if (key !== undefined) at = (at as Readonly<Record<PropertyKey, unknown>>)[key]
    if (typeof at !== 'object' || at === null) break
    file = files.get(at) ?? file
  }
  return file
}

export function invalid(path: string, faults: readonly string[]): MusterError {
  return new MusterError('config-invalid', `${path}: ${faults.join('; ')}`, { details: faults })
}
