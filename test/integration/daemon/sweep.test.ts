/** What findings may end, through the doors that people have: the command line, the API, the metrics. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'

import type { Daemon } from '../../support/daemon.ts'
import { adminSecret, shortLease, startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres, freshDatabase } from '../../support/fresh-database.ts'

interface Swept {
  readonly regions: readonly {
    readonly machines: number
    readonly findings: readonly { readonly kind: string; readonly target: string; readonly state: string }[]
  }[]
}

let daemon: Daemon
let drop: () => Promise<void> = () => Promise.resolve()
afterEach(async () => {
  await daemon.dispose()
  await drop()
})

/** `npx muster sweep`, as somebody on this machine runs it. */
const muster = (...args: readonly string[]) =>
  promisify(execFile)(process.execPath, ['src/main.ts', ...args], {
    env: {
      PATH: process.env['PATH'],
      PORT: new URL(daemon.apiUrl).port,
      MUSTER_DATA_DIR: daemon.dataDir,
      HASURA_GRAPHQL_ADMIN_SECRET: adminSecret,
    },
  })
const statesOf = async (body: object) =>
  (await daemon.post<Swept>('/v1/sweep', { body })).body.regions[0]?.findings.map(
    ({ kind, state }) => `${kind} ${state}`,
  )
const heldNow = async () =>
  /muster_blast_radius_held\{region="local\/demo"\} (\d+)/.exec(
    (await daemon.get<string>('/metrics')).body,
  )?.[1]

describeOnPostgres('a database that has lost its rows', () => {
  it('ends no machine until a person says so, and then every one', async () => {
    const database = await freshDatabase()
    drop = () => database.drop()
    daemon = await startDaemon({ databaseUrl: database.url, environment: shortLease })
    await daemon.untilFree(4)
    await daemon.setRegion({ target_free_agents: 0 })
    await daemon.signal('SIGKILL')
    const machines = (await daemon.processes()).size
    expect(machines).toBeGreaterThan(0)
    const client = new pg.Client({ connectionString: database.url })
    await client.connect()
    await client.query(
      'truncate fleet.hosts, fleet.agents, fleet.backends, fleet.certificates, fleet.actions, fleet.decisions cascade',
    )
    await client.end()

    await daemon.start()
    await eventually(
      async () => (await statesOf({ dry_run: true }))?.every((state) => state === 'clear-orphan held'),
      {
        what: 'every machine is known for an orphan, and held back',
      },
    )
    await eventually(async () => (await heldNow()) === `${machines}`, { what: 'the metric says so' })
    expect((await daemon.processes()).size).toBe(machines)
    // The figure is of the turn that is about to be stored.
    const said = await eventually(async () => {
      const decisions = await daemon.decisions('region=local/demo&limit=100')
      return decisions.some(({ target }) => target === 'local/demo') && decisions
    })
    expect(said.map(({ kind }) => kind)).not.toContain('clear-orphan')
    expect(said.find(({ target }) => target === 'local/demo')?.reason).toMatch(
      /^blast radius: \d endings are held back: .* older than all rows of hosts, which the database may have lost/,
    )

    const dry = await muster('sweep', '--region', 'local/demo', '--dry-run')
    expect(dry.stdout).toMatch(
      /^local\/demo: \d machines, 0 hosts\nWHEN +WHAT +TARGET +WHY\nheld +end machine +\S+ +the provider has/,
    )
    expect(dry.stdout).toMatch(
      /\d are held back; let them go on: npx muster sweep --region local\/demo --confirm\n$/,
    )
    const confirmed = await muster('sweep', '--confirm', '--json')
    expect(JSON.parse(confirmed.stdout)).toMatchObject([{ region: 'local/demo', failure: null }])
    await eventually(async () => (await daemon.processes()).size === 0, {
      what: 'all have ended',
    })
    await eventually(async () => (await heldNow()) === '0')
    expect((await muster('sweep')).stdout).toMatch(
      /^local\/demo: 0 machines, 0 hosts; confirmed until \S+: they agree\n$/,
    )
  })
})

describe('managers that all fall silent at once', () => {
  it('cost a small fleet one host, also when the daemon crashes again and again, until a person says so', async () => {
    daemon = await startDaemon({ environment: shortLease })
    await daemon.setRegion({ deadlines: { heartbeat: 2 }, target_free_agents: 6 })
    await daemon.untilFree(6)
    const before = await daemon.hosts()
    expect(before).toHaveLength(3)
    const groups = [...(await daemon.processes()).values()].map(([one]) => one?.group ?? 0)
    for (const group of groups) process.kill(group, 'SIGKILL')
    const left = async () => {
      const standing = new Set((await daemon.hosts()).map((host) => host.id))
      return before.filter((host) => standing.has(host.id)).length
    }
    // All are replaced; one is ended.
    await eventually(async () => (await daemon.free()).length === 6)
    await eventually(async () => (await left()) === 2 && (await heldNow()) === '2')
    for (let crash = 0; crash < 2; crash += 1) {
      await daemon.signal('SIGKILL')
      await daemon.start()
      await eventually(async () => (await heldNow()) === '2', { what: 'held again' })
      expect(await left()).toBe(2)
    }
    const reports = await daemon.decisions('region=local/demo&limit=200')
    expect(reports.filter(({ kind }) => kind === 'terminate')).toHaveLength(1)
    expect((await daemon.post('/v1/sweep', { body: { confirm: true } })).status).toBe(200)
    await eventually(async () => (await left()) === 0, { what: 'all three have ended' })
    await daemon.untilFree(6)
  })
})
