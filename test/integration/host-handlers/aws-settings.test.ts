/** Provider `aws` as a new user meets it: set up, checked, launched, refused; and no secret told on the way. */
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, it } from 'vitest'

import type { ProviderRegion } from '../../../src/model/host-handler.ts'
import type { Daemon } from '../../support/daemon.ts'
import { startDaemon } from '../../support/daemon.ts'
import { dumpOf } from '../../support/dump.ts'
import { eventually } from '../../support/eventually.ts'
import type { FreshDatabase } from '../../support/fresh-database.ts'
import { freshDatabase } from '../../support/fresh-database.ts'
import { describeWithMoto } from '../../support/moto.ts'
import { runMuster } from '../../support/run-muster.ts'
import type { Ec2World } from './ec2-world.ts'
import { secretKey, startEc2World } from './ec2-world.ts'

const sessionToken = 'session-token-of-the-account'

interface CheckedRegion {
  readonly id: string
  readonly faults: readonly string[]
  readonly hints: readonly string[]
  readonly offerings: readonly { readonly offering: string; readonly agents: number }[]
}
interface RegionLine {
  readonly id: string
  readonly agents_per_host: number | null
  readonly agents_per_host_from: string | null
  readonly launch_obstacle: string | null
  readonly blocked_offerings: readonly { readonly instance_type: string; readonly code: string }[]
}

describeWithMoto('the settings of aws', () => {
  let world: Ec2World
  let database: FreshDatabase
  let daemon: Daemon
  const advertised = { MUSTER_MANAGER_ADVERTISE: '127.0.0.1:9' }

  beforeAll(async () => {
    ;[world, database] = await Promise.all([startEc2World(), freshDatabase()])
    daemon = await startDaemon({
      databaseUrl: database.url,
      environment: {
        MUSTER_SEED: 'none',
        MUSTER_AWS_ENDPOINT: world.proxy.url,
        MUSTER_AWS_REQUEST_TIMEOUT_S: '20',
        MUSTER_PROVIDERS: '{"aws": {"visibility_s": 0, "page_size": 5}}',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: secretKey,
        AWS_SESSION_TOKEN: sessionToken,
        // Whoever has no credentials asks nobody here for some.
        AWS_EC2_METADATA_DISABLED: 'true',
        LOG_LEVEL: 'debug',
      },
    })
  })
  afterAll(async () => {
    await daemon.dispose()
    await database.drop()
    await world.close()
  })

  const insert = async ({ id, instanceTypes, image, providerOptions }: ProviderRegion) => {
    await daemon.graphql(
      `mutation ($region: fleet_regions_insert_input!, $image: fleet_images_insert_input!) {
        insert_fleet_regions_one(object: $region) { id }
        insert_fleet_images_one(object: $image) { id }
      }`,
      {
        region: {
          ...{ id, provider: 'aws', instance_types: instanceTypes, provider_options: providerOptions },
          ...{ algorithm: 'default', target_free_agents: 1, max_hosts: 2, max_surge_hosts: 0 },
        },
        image: { id: `${id}:v1`, region_id: id, image_id: image, version: 'v1', status: 'ACTIVE' },
      },
    )
  }
  const regionLine = async (id: string): Promise<RegionLine | undefined> => {
    const { body } = await daemon.get<{ regions: readonly RegionLine[] }>('/v1/regions')
    return body.regions.find((region) => region.id === id)
  }
  const check = async (ids: readonly string[], environment: Record<string, string> = {}) => {
    const result = await runMuster(
      ['check-config', '--live', '--json', ...ids.flatMap((id) => ['--region', id])],
      { ...(await daemon.environment()), ...environment },
    )
    for (const secret of [secretKey, sessionToken]) {
      expect(result.stdout + result.stderr).not.toContain(secret)
    }
    const report = (result.stdout === '' ? {} : JSON.parse(result.stdout)) as { regions?: CheckedRegion[] }
    return { ...result, of: (id: string) => report.regions?.find((region) => region.id === id) }
  }

  it('without a way home launch nothing, and the region and check-config say which setting is missing', async () => {
    const region = world.aRegion()
    await insert(region)
    const line = await eventually(
      async () => {
        const found = await regionLine(region.id)
        return found?.launch_obstacle?.includes('MUSTER_MANAGER_ADVERTISE') === true ? found : undefined
      },
      { what: 'the region says what it lacks', timeoutMs: 30_000 },
    )
    // m6a.large has 2 vCPU: what the smallest of both types holds, as EC2 itself says.
    expect(line).toMatchObject({ agents_per_host: 2, agents_per_host_from: 'provider' })
    expect(world.proxy.countOf('RunInstances')).toBe(0)
    const { code, of, stderr } = await check([region.id])
    expect([code, of(region.id)?.faults]).toEqual([
      1,
      [expect.stringContaining('set MUSTER_MANAGER_ADVERTISE')],
    ])
    expect(stderr).toContain(`… ${region.id}`)
    const { fleet_regions_by_pk: row } = await daemon.graphql<{ fleet_regions_by_pk: object }>(
      `query { fleet_regions_by_pk(id: "${region.id}") { launch_error_code launch_error } }`,
    )
    expect(row).toEqual({
      launch_error_code: 'invalid-request',
      launch_error: expect.stringContaining('MUSTER_MANAGER_ADVERTISE') as string,
    })
  })

  it('of each kind that are bad get their sentence, and none when all is well', async () => {
    const environment = { MUSTER_MANAGER_ADVERTISE: '198.51.100.7:7011', MUSTER_MANAGER_HOST: '0.0.0.0' }
    const good = { ...world.aRegion(), id: 'aws/us-east-1/good' }
    const bad = {
      ...world.aRegion({ subnets: { tier: 'nowhere' }, security_groups: ['sg-0123'] }),
      ...{ id: 'aws/us-east-1/bad', instanceTypes: ['m6a.nope'], image: 'ami-0123' },
    }
    const nonsense = { ...world.aRegion({ sev_snip: true, app: '' }), id: 'aws/us-east-1/nonsense' }
    const nowhere = { ...world.aRegion(), id: 'aws/mars' }
    for (const region of [good, bad, nonsense, nowhere]) await insert(region)

    const all = await check([], environment)
    expect([all.code, all.of(good.id)]).toEqual([1, expect.objectContaining({ faults: [], hints: [] })])
    expect(all.of(good.id)?.offerings[0]).toEqual({ offering: 'm6a.large us-east-1a on-demand', agents: 2 })
    const faultsOf = (id: string, checked = all) => checked.of(id)?.faults.join('\n') ?? ''
    for (const word of ['m6a.nope', 'tier=nowhere', 'ami-0123']) expect(faultsOf(bad.id)).toContain(word)
    expect(faultsOf(nonsense.id)).toMatch(/provider_options of region .*(sev_snip.*app|app.*sev_snip)/s)
    expect(faultsOf(nowhere.id)).toContain('does not name an AWS region')

    const poor = { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', AWS_SESSION_TOKEN: '' }
    const without = await check([good.id], { ...environment, ...poor })
    expect(faultsOf(good.id, without)).toMatch(/credentials/i)
    const away = await check([good.id], { ...environment, MUSTER_AWS_ENDPOINT: 'http://127.0.0.1:9' })
    expect(faultsOf(good.id, away)).toContain('ECONNREFUSED')
    world.proxy.fault('RunInstances', { kind: 'refused', code: 'UnauthorizedOperation', status: 403 })
    const refused = await check([good.id], environment)
    expect(faultsOf(good.id, refused)).toContain('UnauthorizedOperation')

    const unknown = await check(['aws/nowhere'], environment)
    expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('there are aws/')])
    const wrong = await check([], { MUSTER_AWS_PAGE_SIZE: '1', MUSTER_PROVIDERS: '{"aws": {"zones": 1}}' })
    expect(wrong.code).toBe(1)
    for (const word of ['MUSTER_AWS_PAGE_SIZE', 'zones']) expect(wrong.stderr).toContain(word)
  })

  it('lead to machines, and no secret is in a row or a line of the log', async () => {
    await daemon.graphql(
      'mutation { update_fleet_regions(where: {}, _set: {enabled: false}) { affected_rows } }',
    )
    await daemon.signal('SIGTERM')
    world.proxy.forget()
    const refusal = `${secretKey} and ${sessionToken} are wrong`
    world.proxy.fault('RunInstances', {
      ...{ kind: 'refused', code: 'InsufficientInstanceCapacity', status: 500, message: refusal },
    })
    const region = { ...world.aRegion(), id: 'aws/us-east-1/secrets' }
    await daemon.start('ready', advertised)
    await insert(region)
    const sent = await eventually(
      async () => {
        const all = world.proxy.requests.filter(({ action }) => action === 'RunInstances')
        const isBlocked = ((await regionLine(region.id))?.blocked_offerings.length ?? 0) > 0
        return all.length >= 2 && isBlocked ? all : undefined
      },
      { what: 'a refused call and a launched host', timeoutMs: 60_000 },
    )
    const tokens = sent.map(({ parameters }) => {
      const userData = gunzipSync(Buffer.from(parameters.get('UserData') ?? '', 'base64')).toString()
      return /"enrolmentToken":"([^"]+)"/.exec(userData)?.[1] ?? ''
    })
    expect(tokens.every((token) => /^ms[a-z]\d_/.test(token))).toBe(true)
    const explained = await runMuster(['explain', region.id], await daemon.environment())
    expect(explained.stdout).toMatch(
      /launch aws\/\S+: the provider refused m6a\.large us-east-1a on-demand: insuff/,
    )
    const dump = await dumpOf(database.url)
    expect(dump).toContain(region.id)
    for (const token of tokens) expect(`${dump}${daemon.output}`.includes(token.slice(-43))).toBe(false)
    for (const { parameters } of sent) {
      expect(dump.includes(parameters.get('UserData') ?? '')).toBe(false)
    }
    for (const secret of [secretKey, sessionToken]) {
      expect(daemon.output.includes(secret)).toBe(false)
      expect(dump.includes(secret)).toBe(false)
    }
  })
})
