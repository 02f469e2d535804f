/** `make contract`, against an endpoint that is there already: ours, and what stands in for a real engine. */
import { afterAll, beforeAll, expect, it } from 'vitest'

import { engineTables } from '../../../contract/engine-tables.ts'
import { runContract } from '../../../contract/run-contract.ts'
import { targetOf } from '../../../contract/target.ts'
import { adminSecret, anEndpoint, libraryProject } from '../../../support/an-endpoint.ts'
import { officeProject } from '../../../support/office.ts'
import { describeOnPostgres, freshDatabase } from '../../../support/fresh-database.ts'
import type { FreshDatabase } from '../../../support/fresh-database.ts'
import { runs } from '../../../support/thoroughness.ts'
import type { StandIn } from '../../../support/stand-in-engine.ts'
import { standInEngine } from '../../../support/stand-in-engine.ts'

const lines: string[] = []
const run = async (url: string, secret = adminSecret, signal = new AbortController().signal) =>
  await runContract({
    target: targetOf(url, secret),
    source: 'default',
    projectDir: libraryProject,
    print: (line) => lines.push(line),
    signal,
    each: runs(12, 1),
  })

it('says what is wrong with an endpoint that it cannot be held against', async () => {
  expect(() => targetOf(undefined, '')).toThrow('HASURA_GRAPHQL_ENDPOINT is not set')
  expect(() => targetOf('localhost:8080', '')).toThrow('no http:// or https:// address')
  expect(targetOf('http://a.b/v1/graphql/', '').url).toBe('http://a.b/v1/graphql')
  expect(targetOf('https://a.b/', '').url).toBe('https://a.b/v1/graphql')
  await expect(run('http://127.0.0.1:1')).rejects.toThrow('http://127.0.0.1:1 cannot be reached')
  const office = await anEndpoint('pglite', { projectDir: officeProject })
  try {
    await expect(run(office.endpoint.url)).rejects.toThrow(
      /has neither the suite's tables \(author, books, .*npx muster graphql --project/,
    )
    await expect(run(office.endpoint.url, 'wrong')).rejects.toThrow('refuses the admin secret')
  } finally {
    await office.close()
  }
})

describeOnPostgres('an engine with a metadata API', () => {
  let fresh: FreshDatabase
  let engine: StandIn
  beforeAll(async () => {
    fresh = await freshDatabase()
    engine = await standInEngine(fresh.url)
  })
  afterAll(async () => {
    await engine.close()
    await fresh.drop()
  })
  const schemas = async (): Promise<unknown> => {
    const sql = "select nspname from pg_namespace where nspname like 'muster_contract%'"
    const response = await fetch(`${engine.url}/v2/query`, {
      method: 'POST',
      body: JSON.stringify({ type: 'run_sql', args: { sql } }),
    })
    return ((await response.json()) as { result: unknown }).result
  }

  it('gets the suite’s tables, answers every case, and is left as it was', async () => {
    const { passed, failed, skipped } = await run(`${engine.url}/v1/graphql`)
    expect(lines.filter((line) => line.startsWith('✗'))).toEqual([])
    expect(failed).toBe(0)
    expect(passed).toBeGreaterThan(runs(100, 1_000))
    const known = /STRINGIFY|bounds|introspection/
    expect([...skipped.keys()].filter((reason) => !known.test(reason))).toEqual([])
    expect(engine.tracked).toEqual([])
    expect(await schemas()).toEqual([['nspname']])
  })

  it('is left as it was by a run that is cut short', async () => {
    await expect(run(engine.url, adminSecret, AbortSignal.abort())).rejects.toThrow('the run was cut short')
    expect(engine.tracked).toEqual([])
    expect(await schemas()).toEqual([['nspname']])
  })

  it('is refused when the suite’s schemas are there already', async () => {
    const sql = async (text: string) =>
      await fetch(`${engine.url}/v2/query`, {
        method: 'POST',
        body: JSON.stringify({ type: 'run_sql', args: { sql: text } }),
      })
    await sql('create schema muster_contract')
    await expect(run(engine.url)).rejects.toThrow('the schemas of the suite are in the database already')
    await sql('drop schema muster_contract')
  })

  it('has every command name the suite’s own schemas', async () => {
    const { track, untrack } = await engineTables(libraryProject, 'default')
    expect(JSON.stringify([track, untrack])).not.toMatch(/"schema":"(?!muster_contract)/)
  })
})
