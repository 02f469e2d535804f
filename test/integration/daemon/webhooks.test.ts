/** A daemon whose stream of changes says nothing, as a real engine's has been seen to do: webhooks alone make it act. */
import { afterAll, beforeAll, expect, it } from 'vitest'

import type { EmbeddedEndpoint } from '../../../src/embedded/endpoint.ts'
import { startEmbedded } from '../../../src/embedded/endpoint.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import type { Engine } from '../../support/an-engine.ts'
import { anEngine } from '../../support/an-engine.ts'
import type { Daemon } from '../../support/daemon.ts'
import { adminSecret, startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import type { FreshDatabase } from '../../support/fresh-database.ts'
import { describeOnPostgres, freshDatabase } from '../../support/fresh-database.ts'

const hookSecret = 'hook-secret-of-the-tests-hook-secret'
const headers = { 'content-type': 'application/json', 'x-hasura-admin-secret': adminSecret }

// Exempt on PGlite: the endpoint is not the daemon's own here, and one kind of database shows it.
describeOnPostgres('a daemon whose stream is silent', () => {
  let database: FreshDatabase
  let endpoint: EmbeddedEndpoint
  let engine: Engine
  let daemon: Daemon
  beforeAll(async () => {
    database = await freshDatabase()
    endpoint = await startEmbedded({
      projectDir: new URL('../../../config/hasura', import.meta.url).pathname,
      database: { kind: 'postgres', url: database.url, poolSize: 8 },
      port: 0,
      adminSecret,
      logger: silentLogger,
    })
    engine = await anEngine({
      answer: async ({ query, variables }) => {
        const body = JSON.stringify({ query, variables })
        return { body: await (await fetch(endpoint.url, { method: 'POST', headers, body })).json() }
      },
    })
    daemon = await startDaemon({
      until: 'alive',
      environment: {
        HASURA_GRAPHQL_ENDPOINT: engine.url,
        MUSTER_HOOK_SECRET: hookSecret,
        MUSTER_RESYNC_S: '3600',
        MUSTER_SWEEP_S: '3600',
      },
    })
    await eventually(async () => {
      expect((await daemon.fetch('/readyz')).body, daemon.output).toEqual({ status: 'ready' })
      return true
    })
  })
  afterAll(async () => {
    await daemon.dispose()
    engine.close()
    await endpoint.stop()
    await database.drop()
  })

  const write = async (query: string, variables: object) => {
    const body = JSON.stringify({ query, variables })
    const answer = (await (await fetch(endpoint.url, { method: 'POST', headers, body })).json()) as object
    expect(answer).not.toHaveProperty('errors')
  }
  const deliver = (path: string, body: object) =>
    daemon.post<{ outcome: string }>(`/v1/hooks/hasura/${path}`, {
      body,
      headers: { 'x-muster-hook-secret': hookSecret },
    })
  const changed = (id: string, table: string, rowId: string) =>
    deliver('event', {
      id,
      table: { schema: 'fleet', name: table },
      event: { op: 'INSERT', data: { old: null, new: { id: rowId } } },
    })
  const regions = async () =>
    (await daemon.get<{ regions: { id: string; target: number; image: object | null }[] }>('/v1/regions'))
      .body.regions

  it('learns of a new region and what is set in it by webhooks alone, and acts', async () => {
    expect(await regions()).toEqual([])
    await write(
      `mutation ($region: fleet_regions_insert_input!, $image: fleet_images_insert_input!) {
        insert_fleet_regions_one(object: $region) { id }
        insert_fleet_images_one(object: $image) { id }
      }`,
      {
        region: {
          id: 'local/hooked',
          provider: 'local',
          target_free_agents: 0,
          agents_per_host: 2,
          max_hosts: 2,
        },
        image: {
          id: 'hooked',
          region_id: 'local/hooked',
          image_id: 'demo',
          version: 'demo',
          status: 'ACTIVE',
        },
      },
    )
    expect((await changed('e1', 'regions', 'local/hooked')).body.outcome).toBe('taken')
    await eventually(async () => (await regions()).length === 1)
    expect(await regions()).toMatchObject([{ id: 'local/hooked', target: 0, image: null }])
    await changed('e2', 'images', 'hooked')
    await eventually(async () => (await regions())[0]?.image !== null)

    await write(
      'mutation ($set: fleet_regions_set_input!) { update_fleet_regions(where: {}, _set: $set) { affected_rows } }',
      { set: { target_free_agents: 2 } },
    )
    // A delivery that was seen before, and one that names another row, bring nothing of it.
    expect((await changed('e1', 'regions', 'local/hooked')).body.outcome).toBe('repeated')
    await changed('e3', 'images', 'hooked')
    expect((await deliver('cron', { id: 'c1', name: 'muster_tick', payload: {} })).body.outcome).toBe('taken')
    expect(await regions()).toMatchObject([{ target: 0 }])

    await changed('e4', 'regions', 'local/hooked')
    await eventually(async () => (await regions())[0]?.target === 2)
    await eventually(
      async () => {
        const decisions = await daemon.decisions('region=local/hooked&limit=10')
        expect(decisions.map(({ kind }) => kind)).toContain('launch')
        return true
      },
      { what: 'a host is launched' },
    )
    await eventually(async () => (await daemon.processes()).size === 1, { what: 'the host runs' })
  })

  it('answers 503 when the database is gone, so that the event is delivered again', async () => {
    engine.close()
    await eventually(async () => (await daemon.fetch('/readyz')).status === 503)
    const { status, headers: given } = await changed('e5', 'regions', 'local/hooked')
    expect({ status, retryAfter: given.get('retry-after') }).toEqual({ status: 503, retryAfter: '10' })
  })
})
