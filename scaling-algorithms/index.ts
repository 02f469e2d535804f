/**
 * The registry of scaling algorithms: one line a plugin. A region's `algorithm` names one of these, or the path of a
 * module (`./…`, `/…` or `file:…`) that exports the contract as `algorithm`. Only app.ts and the command line see it.
 */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MusterError } from '../src/model/errors.ts'
import type { ScalingAlgorithm, Schema, SchemaIssue } from '../src/model/scaling-algorithm.ts'
import { algorithm as defaultAlgorithm } from './default/algorithm.ts'
import { algorithm as fixed } from './fixed/algorithm.ts'

export const algorithms = {
  default: defaultAlgorithm,
  fixed,
} satisfies Record<string, ScalingAlgorithm>

/**
 * The algorithm of this name, or of this module; relative paths start from the daemon's working directory.
 * @throws MusterError `algorithm-invalid`, which says what to do.
 */
export function loadAlgorithm(name: string): Promise<ScalingAlgorithm> {
  if (/^(\.{1,2}\/|\/|file:)/.test(name)) return loadModule(name)
  const known: Readonly<Record<string, ScalingAlgorithm>> = algorithms
  const found = Object.hasOwn(known, name) ? known[name] : undefined
  if (found !== undefined) return Promise.resolve(found)
  const names = Object.keys(known).join(', ')
  return Promise.reject(
    invalid(
      `There is no algorithm "${name}": use one of ${names}, or the path of a module that starts with ./ or /`,
    ),
  )
}

/**
 * A region's `options`, as the algorithm takes them.
 * @throws MusterError `algorithm-invalid` with every fault in `details`.
 */
export function parseOptions(algorithm: ScalingAlgorithm, options: unknown): unknown {
  const parsed = readOptions(algorithm, options)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map(inWords)
  throw invalid(`The options of algorithm "${algorithm.name}" are wrong: ${faults.join('; ')}`, {
    details: faults,
  })
}

/** A schema of an outside module may throw where it should answer. */
function readOptions(
  algorithm: ScalingAlgorithm,
  options: unknown,
): ReturnType<Schema<unknown>['safeParse']> {
  try {
    return algorithm.options.safeParse(options)
  } catch (cause) {
    throw invalid(`The options of algorithm "${algorithm.name}" cannot be read: ${textOf(cause)}`, { cause })
  }
}

function loadModule(path: string): Promise<ScalingAlgorithm> {
  const url = path.startsWith('file:') ? path : pathToFileURL(resolve(path)).href
  return import(url).then(
    (module: unknown) => checkShape(path, module),
    (cause: unknown) => {
      throw invalid(`The algorithm module ${path} cannot be loaded: ${textOf(cause)}`, { cause })
    },
  )
}

function checkShape(path: string, module: unknown): ScalingAlgorithm {
  const algorithm: unknown = (module as { readonly algorithm?: unknown }).algorithm
  if (typeof algorithm !== 'object' || algorithm === null) {
    throw invalid(`The module ${path} must export a ScalingAlgorithm as "algorithm"`)
  }
  const { name, options, plan, rank } = algorithm as Partial<Record<keyof ScalingAlgorithm, unknown>>
  const faults: string[] = []
  if (typeof name !== 'string' || name === '') faults.push('name: must be a text')
  if (typeof (options as { safeParse?: unknown } | undefined)?.safeParse !== 'function') {
    faults.push('options: must be a schema with safeParse (a zod schema is one)')
  }
  if (typeof plan !== 'function')
    faults.push('plan: must be a function (snapshot, event, options) => decisions')
  if (rank !== undefined && typeof rank !== 'function') faults.push('rank: must be a function, or left out')
  if (faults.length === 0) return algorithm as ScalingAlgorithm
  throw invalid(`The algorithm of ${path} is no ScalingAlgorithm: ${faults.join('; ')}`, { details: faults })
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

function inWords({ path, message }: SchemaIssue): string {
  return path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`
}

function invalid(message: string, options?: { cause?: unknown; details?: readonly string[] }): MusterError {
  return new MusterError('algorithm-invalid', message, options)
}
