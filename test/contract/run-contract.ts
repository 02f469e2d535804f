/** Every contract case against an endpoint that is there already, over HTTP and both protocols of a socket. */
import { stringifiedValues, values } from '../integration/embedded/contract/cases/values.ts'
import type { ContractCase } from '../integration/embedded/contract/case.ts'
import { groups } from '../integration/embedded/contract/groups.ts'
import { seed } from '../integration/embedded/contract/seed.ts'
import type { Transport } from '../integration/embedded/contract/transports.ts'
import { overHttp, overSocket } from '../integration/embedded/contract/transports.ts'
import { differsInNumbersOnly, faultOf } from '../integration/embedded/contract/verdict.ts'
import type { EngineTables } from './engine-tables.ts'
import { engineTables, makeTables, removeTables } from './engine-tables.ts'
import type { Target } from './target.ts'
import { post, queryFields, refusal, serveIt } from './target.ts'

export interface ContractOptions {
  readonly target: Target
  /** The engine's name of the database that gets the suite's tables. */
  readonly source: string
  readonly projectDir: string
  readonly print: (line: string) => void
  /** Each how many-th case of a group is tried. Default 1: all. */
  readonly each?: number
  /** Ends the run early; what was made is still taken away. */
  readonly signal: AbortSignal
}

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: ReadonlyMap<string, number>
}

/** @throws MusterError `config-invalid` in words when the cases cannot be run there */
export async function runContract(options: ContractOptions): Promise<Counts> {
  const { target, source, print } = options
  const made = await prepare(options)
  const transports: Transport[] = [overHttp(target)]
  try {
    transports.push(await overSocket(target, 'graphql-transport-ws'), await overSocket(target, 'graphql-ws'))
    print(
      made === undefined
        ? `${target.url} serves the suite's tables.`
        : `The suite's tables were made in the engine.`,
    )
    return await runCases(options, transports, made !== undefined)
  } finally {
    for (const each of transports) each.close()
    if (made !== undefined) await removeTables(target, made, source)
  }
}

/** What was made in the engine; undefined where everything was there. */
async function prepare({ target, source, projectDir }: ContractOptions): Promise<EngineTables | undefined> {
  const fields = await queryFields(target)
  const tables = await engineTables(projectDir, source)
  const wanted = wantedFields(tables)
  const there = wanted.filter((name) => fields.has(name))
  if (there.length === wanted.length) return undefined
  const { status } = await post(target, '/v1/metadata', { type: 'export_metadata', version: 2, args: {} })
  const missing = wanted.filter((name) => !fields.has(name)).join(', ')
  if (status !== 200) {
    throw refusal(
      `${target.base} has neither the suite's tables (${missing}) nor Hasura's metadata API (${status}): serve them with \`${serveIt}\``,
    )
  }
  if (there.length > 0) {
    throw refusal(
      `${target.base} has root fields of its own by the names of the suite's (${there.join(', ')}): take an engine without them`,
    )
  }
  await makeTables(target, tables, source)
  return tables
}

interface Tracked {
  readonly type: string
  readonly args: {
    readonly configuration?: {
      readonly custom_name?: string
      readonly custom_root_fields?: { readonly select?: string }
      readonly exposed_as?: string
    }
  }
}

function wantedFields({ track }: EngineTables): readonly string[] {
  return (track as readonly Tracked[]).flatMap(({ type, args: { configuration = {} } }) => {
    if (type !== 'pg_track_table') return []
    return configuration.custom_root_fields?.select ?? configuration.custom_name ?? []
  })
}

async function runCases(
  { target, print, signal, each: step = 1 }: ContractOptions,
  transports: readonly Transport[],
  isEngine: boolean,
): Promise<Counts> {
  const skipped = new Map<string, number>()
  const skip = (reason: string): unknown => skipped.set(reason, (skipped.get(reason) ?? 0) + 1)
  let passed = 0
  let failed = 0
  let isFresh = false
  const fresh = async (): Promise<void> => {
    if (isFresh) return
    const { body } = await post(target, '/v1/graphql', { query: seed.query, variables: seed.variables })
    const { errors } = body as { errors?: unknown }
    if (errors !== undefined)
      throw refusal(`the suite's rows cannot be written: ${JSON.stringify(errors).slice(0, 2_000)}`)
    isFresh = true
  }
  await fresh()
  const isText = await writesNumbersAsText(target)
  const all = isText ? { ...groups, values: stringifiedValues } : groups
  const left = isText ? values.length : stringifiedValues.length
  skipped.set(
    `the endpoint writes big numbers as ${isText ? 'text' : 'numbers'} (HASURA_GRAPHQL_STRINGIFY_NUMERIC_TYPES)`,
    left,
  )
  for (const [group, cases] of Object.entries<readonly ContractCase[]>(all)) {
    for (const each of cases.filter((_case, place) => place % step === 0)) {
      if (signal.aborted) throw refusal('the run was cut short')
      if (isEngine && each.onlyHere !== undefined) {
        skip(each.onlyHere)
        continue
      }
      const isWrite = each.query.includes('mutation') && each.refusal === undefined
      for (const transport of transports) {
        await fresh()
        isFresh = !isWrite
        const reply = await transport.ask(each).catch((error: unknown) => String(error))
        const fault = typeof reply === 'string' ? reply : faultOf(each, reply, !isEngine)
        if (fault === undefined) passed += 1
        else if (isText && typeof reply !== 'string' && differsInNumbersOnly(each, reply)) {
          skip('the case holds numbers, and the endpoint writes big ones as text')
        } else {
          failed += 1
          print(`✗ ${group}: ${each.shows} (${transport.name})\n     ${fault}`)
        }
      }
    }
  }
  return { passed, failed, skipped }
}

async function writesNumbersAsText(target: Target): Promise<boolean> {
  const { body } = await post(target, '/v1/graphql', { query: '{ sample_by_pk(id: 2) { big } }' })
  const { data } = body as { data?: { sample_by_pk?: { big?: unknown } } }
  return typeof data?.sample_by_pk?.big === 'string'
}
