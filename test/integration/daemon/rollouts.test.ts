/** Roll-outs as people have them: real hosts, a running load of sessions, and a daemon whose plug is pulled. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { Daemon } from '../../support/daemon.ts'
import { shortLease, startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import { SessionLoad } from '../../support/session-load.ts'
import { runs } from '../../support/thoroughness.ts'

interface RolloutRow {
  readonly id: string
  readonly state: string
  readonly version: string
  readonly reason: string
}

const lightAgent = new URL('../../support/light-agent.pl', import.meta.url).pathname
const dyingAgent = new URL('../../support/dying-agent.ts', import.meta.url).pathname
const programs = {
  local: {
    agent_command: ['perl', lightAgent],
    images: { bad: [process.execPath, dyingAgent] },
  },
}
/** Seconds rather than minutes. */
const quick = { prepare_s: 120, canary_min_s: 3, canary_min_sessions: 5, canary_s: 60, bake_s: 2 }

let daemon: Daemon
beforeAll(async () => {
  daemon = await startDaemon({ environment: { ...shortLease, MUSTER_PROVIDERS: JSON.stringify(programs) } })
  await daemon.untilFree(4)
})
afterAll(() => daemon.dispose())

async function rollouts(): Promise<readonly RolloutRow[]> {
  const answer = await daemon.graphql<{ fleet_rollouts: readonly RolloutRow[] }>(
    'query { fleet_rollouts(order_by: [{created_at: asc}, {id: asc}]) { id state version reason } }',
  )
  return answer.fleet_rollouts
}

/** The newest roll-out to the version. */
async function rolloutTo(version: string): Promise<RolloutRow | undefined> {
  return (await rollouts()).findLast((rollout) => rollout.version === version)
}

async function until(version: string, ...states: string[]): Promise<RolloutRow> {
  let last: RolloutRow | undefined
  const found = await eventually(
    async () => {
      last = await rolloutTo(version)
      return states.includes(last?.state ?? '') ? last : undefined
    },
    { everyMs: 50, what: `a roll-out to ${version} is ${states.join(' or ')}` },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; it is ${JSON.stringify(last)}\n${daemon.output.slice(-4000)}`)
  })
  return found
}

async function start(version: string, options: Record<string, unknown> = {}, image = version): Promise<void> {
  const { canary_share, ...rest } = options
  const { status, body } = await daemon.post('/v1/rollouts', {
    body: {
      version,
      images: { 'local/demo': image },
      options: { ...quick, ...rest },
      ...(canary_share === undefined ? {} : { canary_share }),
    },
  })
  expect(status, JSON.stringify(body)).toBeLessThan(300)
}

async function release(version: string): Promise<void> {
  await daemon.graphql(
    `mutation ($row: fleet_versions_insert_input!) { insert_fleet_versions_one(object: $row,
      on_conflict: {constraint: versions_pkey, update_columns: [version]}) { channel } }`,
    { row: { channel: 'default', version } },
  )
}

/** The version of the region's ACTIVE image; there is never another one. */
async function activeVersion(): Promise<string | undefined> {
  const { fleet_images: images } = await daemon.graphql<{ fleet_images: { version: string }[] }>(
    'query { fleet_images(where: {status: {_eq: "ACTIVE"}}) { version } }',
  )
  expect(images).toHaveLength(1)
  return images[0]?.version
}

/** Hosts that stand, by the version that they serve. */
async function hostsOf(version: string): Promise<number> {
  const { fleet_hosts: hosts } = await daemon.graphql<{ fleet_hosts: unknown[] }>(
    'query ($version: String!) { fleet_hosts(where: {version: {_eq: $version}, status: {_neq: "TERMINATED"}}) { id } }',
    { version },
  )
  return hosts.length
}

describe('a roll-out on real hosts', () => {
  it('under load fails no assign and cuts no session', async () => {
    await daemon.setRegion({
      agents_per_host: 5,
      target_free_agents: 10,
      max_hosts: 20,
      max_surge_hosts: 20,
    })
    await daemon.untilFree(10)
    const load = new SessionLoad(daemon, { everyMs: runs(700, 200), lastsMs: [3_000, 8_000] })
    load.start()
    await eventually(() => load.live >= runs(4, 25), { what: 'the sessions that are to be there' })
    await start('2.0.0')
    await until('2.0.0', 'READY')
    expect(await activeVersion()).toBe('demo')
    await release('2.0.0')
    await until('2.0.0', 'SWITCHED')
    expect(await activeVersion()).toBe('2.0.0')
    await until('2.0.0', 'DONE')
    expect(await hostsOf('demo')).toBe(0)
    await load.stop()
    expect(load.faults, daemon.output.slice(-3000)).toEqual([])
    expect(load.served).toBeGreaterThan(runs(8, 60))
  })

  it('of a bad image is caught in its canary, and goes back by itself', async () => {
    await daemon.setRegion({ agents_per_host: 5, target_free_agents: 10, max_hosts: 20, max_surge_hosts: 20 })
    await eventually(async () => (await daemon.free()).length >= 10)
    const before = await activeVersion()
    const load = new SessionLoad(daemon, { everyMs: 500, lastsMs: [500, 1_500], mayDie: true })
    load.start()
    await start('3.0.0', { canary_share: 0.5, switch: 'ready', canary_min_s: 60 }, 'bad')
    const { reason } = await until('3.0.0', 'ROLLING_BACK', 'ROLLED_BACK')
    await until('3.0.0', 'ROLLED_BACK')
    await load.stop()
    expect(reason).toMatch(/sessions of the new image failed/)
    expect(load.refused, daemon.output.slice(-3000)).toEqual([])
    expect(await activeVersion()).toBe(before)
    expect(await hostsOf('3.0.0')).toBe(0)
    expect((await daemon.free()).length).toBeGreaterThanOrEqual(10)
  })

  it('follows its channel’s version as a level: before it is READY, away, back, and after', async () => {
    const before = (await activeVersion())!
    await daemon.setRegion({ agents_per_host: 2, target_free_agents: 4 })
    await start('4.0.0')
    await release('4.0.0')
    await release(before)
    await until('4.0.0', 'READY')
    expect(await activeVersion()).toBe(before)
    await release('4.0.0')
    await until('4.0.0', 'SWITCHED')
    await release(before)
    await until('4.0.0', 'ROLLED_BACK')
    expect(await activeVersion()).toBe(before)
    await start('4.0.1')
    await release('4.0.1')
    await until('4.0.1', 'DRAINING', 'DONE')
    expect(await activeVersion()).toBe('4.0.1')
  })

  it('gives way to the next deploy', async () => {
    await start('5.0.0')
    await start('5.0.1')
    await release('5.0.1')
    const superseded = await until('5.0.0', 'ROLLED_BACK')
    await until('5.0.1', 'DONE')
    expect(await activeVersion()).toBe('5.0.1')
    expect(superseded.version).toBe('5.0.0')
    const { body } = await daemon.get<{ decisions: { kind: string }[] }>(
      '/v1/decisions?region=local/demo&limit=100',
    )
    expect(body.decisions.some(({ kind }) => kind === 'rollout')).toBe(true)
  })

  const states = ['SWITCHED', 'PREPARING', 'ROLLING_BACK', 'READY', 'CANARY', 'DRAINING']
  it.each(
    states.slice(0, runs(3, states.length)).map((state, index) => ({ state, version: `6.0.${index}` })),
  )('goes on after kill -9 in $state', async ({ state, version }) => {
    const before = await activeVersion()
    const isBack = state === 'ROLLING_BACK'
    const canary = state === 'CANARY' ? { canary_share: 0.5, canary_s: 8, on_few_samples: 'switch' } : {}
    await start(version, { switch: state === 'READY' || isBack ? 'hand' : 'ready', ...canary })
    if (isBack) {
      await until(version, 'READY')
      const { id } = (await rolloutTo(version))!
      expect((await daemon.post(`/v1/rollouts/${id}/rollback`)).status).toBeLessThan(300)
    }
    await until(version, state, ...(isBack ? ['ROLLED_BACK'] : []))
    await daemon.signal('SIGKILL')
    await daemon.start()
    if (state === 'READY') {
      const { id } = (await rolloutTo(version))!
      expect((await daemon.post(`/v1/rollouts/${id}/switch`)).status).toBeLessThan(300)
    }
    await until(version, isBack ? 'ROLLED_BACK' : 'DONE')
    expect(await activeVersion()).toBe(isBack ? before : version)
    await daemon.untilFree(4)
  })

  it.each(
    ['rollout.before-switch', 'rollout.after-switch'].map((point, index) => ({
      point,
      version: `7.0.${index}`,
    })),
  )('goes on after kill -9 at $point', async ({ point, version }) => {
    await daemon.signal('SIGKILL')
    await daemon.start('ready', { MUSTER_FAULTS: point })
    await start(version, { switch: 'ready' })
    expect(await daemon.exit()).toBe('SIGKILL')
    await daemon.start()
    await until(version, 'DONE')
    expect(await activeVersion()).toBe(version)
  })
})
