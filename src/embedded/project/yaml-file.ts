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
  return await expand(value, path, depth)
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
  throw invalid(
    path,
    parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`),
  )
}

export function invalid(path: string, faults: readonly string[]): MusterError {
  return new MusterError('config-invalid', `${path}: ${faults.join('; ')}`, { details: faults })
}
