/** What people get wrong, each with a clear error that says what to do. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'

import type { Daemon } from '../../support/daemon.ts'
import { findHostProcesses } from '../../../host-handlers/local/host-processes.ts'
import { runCli } from '../../../src/cli.ts'
import { startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import { describeOnPostgres, freshDatabase } from '../../support/fresh-database.ts'

interface Run {
  readonly code: number | null
  readonly output: string
}

/** Run `muster` to its end. */
async function muster(args: readonly string[], environment: Record<string, string> = {}): Promise<Run> {
  const child = spawn(process.execPath, ['src/main.ts', ...args], {
    env: { PATH: process.env['PATH'], LOG_LEVEL: 'silent', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(child, 'exit')) as [number | null]
  return { code, output }
}

/** The same without a process of its own, for what ends before it does anything. */
async function here(args: readonly string[]): Promise<Run> {
  let output = ''
  const print = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    output += text.toString()
    return true
  })
  try {
    return { code: await runCli(args), output }
  } finally {
    print.mockRestore()
  }
}

describe('muster run', () => {
  let dataDir = ''
  beforeAll(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'muster-bad-'))
    cpSync(inject('pgliteTemplate'), join(dataDir, 'pglite'), { recursive: true })
  })
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }))
  const ports = { PORT: '0', MUSTER_GRAPHQL_PORT: '0', MUSTER_MANAGER_PORT: '0' }

  it('names the port that is in use, and the setting', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const taken = `${(server.address() as { port: number }).port}`
    for (const setting of ['PORT', 'MUSTER_GRAPHQL_PORT', 'MUSTER_MANAGER_PORT']) {
      const { code, output } = await muster(['run'], { ...ports, MUSTER_DATA_DIR: dataDir, [setting]: taken })
      expect(code).toBe(1)
      expect(output).toMatch(new RegExp(`${taken}.*${setting}.*port-in-use`))
    }
    server.close()
    const hosts = await findHostProcesses()
    expect(hosts.filter((one) => one.directory.startsWith(dataDir))).toEqual([])
  })

  it('says which data directory it cannot use', async () => {
    const file = join(dataDir, 'file')
    writeFileSync(file, '')
    const { code, output } = await muster(['run'], { ...ports, MUSTER_DATA_DIR: join(file, 'data') })
    expect(code).toBe(1)
    expect(output).toMatch(/data directory cannot be used.*data-directory-unusable/)
  })

  it.skipIf(process.getuid?.() === 0)('says so too when the directory is closed to it', async () => {
    const closed = mkdtempSync(join(dataDir, 'closed-'))
    chmodSync(closed, 0o000)
    expect((await muster(['run'], { ...ports, MUSTER_DATA_DIR: closed })).output).toMatch(
      /data-directory-unusable/,
    )
    chmodSync(closed, 0o700)
  })

  it('reports every fault of the configuration at once', async () => {
    const { code, output } = await muster(['run'], {
      PORT: 'x',
      MUSTER_LEASE_S: '-1',
      DATABASE_URL: 'postgres://127.0.0.1/x',
    })
    expect(code).toBe(1)
    for (const name of [
      'PORT',
      'MUSTER_LEASE_S',
      'HASURA_GRAPHQL_ADMIN_SECRET',
      'MUSTER_JWT_SECRET',
      'MUSTER_FLEET_KEY',
    ]) {
      expect(output).toContain(name)
    }
  })
})

describe('the command line', () => {
  it('tells usage (2) from failure (1), and has --help and --version everywhere', async () => {
    expect((await muster(['no-such-command'])).code).toBe(2)
    expect((await muster(['token'])).code).toBe(2)
    expect((await muster(['token', '--user', 'x', '--role', 'king'])).code).toBe(2)
    const port = `${await freePort()}`
    const noDaemon = await muster(['hosts'], { PORT: port })
    expect(noDaemon.code).toBe(1)
    expect(noDaemon.output).toContain('make run')
    for (const command of [
      '',
      'run',
      'manager',
      'graphql',
      'token',
      'hosts',
      'drain',
      'assign',
      'explain',
      'check-config',
    ]) {
      const args = command === '' ? [] : [command]
      const help = await here([...args, '--help'])
      expect(help.code).toBe(0)
      expect(help.output).toContain('Usage:')
      // Whose --version is what the user's client has.
      if (command === 'assign') continue
      expect((await here([...args, '--version'])).output.trim()).toMatch(/^\d+\.\d+\.\d+$/)
    }
    expect((await muster(['--version'])).output.trim()).toMatch(/^\d+\.\d+\.\d+$/)
  })
})

describe('a running daemon', () => {
  let daemon: Daemon
  beforeAll(async () => {
    daemon = await startDaemon()
    await daemon.untilFree(4)
  })
  afterAll(async () => daemon.dispose())

  it('has its data directory to itself', async () => {
    const { code, output } = await muster(['run'], {
      PORT: '0',
      MUSTER_GRAPHQL_PORT: '0',
      MUSTER_MANAGER_PORT: '0',
      MUSTER_DATA_DIR: daemon.dataDir,
    })
    expect(code).toBe(1)
    expect(output).toMatch(/data-directory-locked/)
    expect((await daemon.fetch('/readyz')).status).toBe(200)
  })

  it('lists all faults of a body, and takes neither huge bodies nor wrong secrets', async () => {
    const faulty = await daemon.post<{ code: string }>('/v1/assign', {
      user: 'ann',
      body: { regions: 'x', wait_ms: -1, color: 'red' },
    })
    expect(faulty.status).toBe(400)
    const text = JSON.stringify(faulty.body)
    for (const name of ['regions', 'wait_ms', 'color']) expect(text).toContain(name)
    const huge = await daemon.post('/v1/assign', { user: 'ann', body: { regions: ['x'.repeat(2_000_000)] } })
    expect(huge.status).toBe(413)
    for (const secret of ['', 'wrong', 'admin-secret-of-the-test', 'admin-secret-of-the-tests-and-more']) {
      expect((await daemon.fetch('/v1/hosts', { headers: { 'x-muster-admin-secret': secret } })).status).toBe(
        401,
      )
    }
    expect(
      (await daemon.fetch('/v1/assign', { method: 'POST', headers: { authorization: 'Bearer x.y.z' } }))
        .status,
    ).toBe(401)
  })

  const refuses = async (set: Record<string, unknown>, reason: RegExp) => {
    await daemon.setRegion(set)
    await eventually(
      async () =>
        (await daemon.decisions('region=local/demo&limit=50')).some(
          (one) => one.kind === 'refuse' && reason.test(`${one.target} ${one.reason}`),
        ),
      { what: `a refusal that says ${reason.source}` },
    )
    expect((await daemon.hosts()).filter((host) => host.status === 'ACTIVE')).toHaveLength(2)
  }

  it('goes on with an algorithm that is missing, throws, or plans nonsense, and says so', async () => {
    await refuses({ algorithm: 'no-such-one' }, /no-such-one/)
    await refuses({ algorithm: 'default', options: { nonsense: 1 } }, /options are wrong.*nonsense/)
    await refuses(
      { algorithm: resolve('test/support/throwing-algorithm.ts'), options: {} },
      /threw: I always do/,
    )
    const nonsense = { algorithm: resolve('test/support/nonsense-algorithm.ts'), options: {}, max_hosts: 2 }
    for (const what of [/no-such-host/, /whole number/, /max_hosts/, /kind/]) await refuses(nonsense, what)
    await daemon.setRegion({ algorithm: 'default', options: {}, max_hosts: 8, target_free_agents: 4 })
    await daemon.untilFree(4)
  })

  it('goes on with a provider that there is not', async () => {
    await daemon
      .graphql(
        `mutation { insert_fleet_regions_one(object: {id: "nowhere/one", provider: "nowhere", agents_per_host: 1, target_free_agents: 1,
        images: {data: []}}) { id } }`,
      )
      .catch(() =>
        daemon.graphql(
          'mutation { insert_fleet_regions_one(object: {id: "nowhere/one", provider: "nowhere", agents_per_host: 1, target_free_agents: 1}) { id } }',
        ),
      )
    await eventually(
      async () =>
        (await daemon.decisions('region=nowhere/one&limit=50')).some((one) => /image/.test(one.reason)),
      { what: 'the refusal for want of an image' },
    )
    await daemon.graphql(
      'mutation { insert_fleet_images_one(object: {region_id: "nowhere/one", image_id: "x", version: "1", status: "ACTIVE"}) { id } }',
    )
    await eventually(
      async () => {
        const { fleet_actions: actions } = await daemon.graphql<{
          fleet_actions: { error: string | null }[]
        }>('query { fleet_actions(where: {region_id: {_eq: "nowhere/one"}}) { error } }')
        return actions.some((action) => action.error?.includes('nowhere') === true)
      },
      { what: 'the action names the provider that there is not' },
    )
    // Where the provider has to say how many agents a host holds, nothing is launched before it does.
    await daemon.graphql(
      'mutation { update_fleet_regions(where: {id: {_eq: "nowhere/one"}}, _set: {agents_per_host: null}) { affected_rows } }',
    )
    await eventually(
      async () =>
        (await daemon.decisions('region=nowhere/one&limit=50')).some((one) =>
          /how many agents.*There is no provider "nowhere"/.test(one.reason),
        ),
      { what: 'the refusal names the provider that there is not' },
    )
    expect((await daemon.fetch('/readyz')).status).toBe(200)
  })
})

describeOnPostgres('an older schema', () => {
  it('is not ready, and says which command to run', async () => {
    const database = await freshDatabase()
    const first = await startDaemon({ databaseUrl: database.url })
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query('update fleet.settings set schema_version = 0')
    await client.end()
    await first.signal('SIGTERM')
    await first.start('alive')
    await eventually(async () =>
      JSON.stringify((await first.fetch('/readyz')).body).includes('hasura migrate apply'),
    )
    expect((await first.fetch('/readyz')).status).toBe(503)
    await first.dispose()
    await database.drop()
  })
})
