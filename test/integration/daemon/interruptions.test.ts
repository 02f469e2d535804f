/** What a provider takes back: real managers hear it from a metadata service on loopback, and nothing else tells the daemon. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { aSession, expectNoneDoubledOrOrphaned, sessionOf } from '../../support/crash-proof.ts'
import type { Daemon } from '../../support/daemon.ts'
import { startDaemon, tokenOf } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import { MetadataServer } from '../../support/metadata-server.ts'

interface ShownHost {
  readonly id: string
  readonly cloud_id: string
  readonly status: string
  readonly reason: string | null
  readonly live: number
  readonly ends_at: string | null
  readonly rebalance_advised_at: string | null
  readonly replaces: string | null
}

describe('a machine that its provider takes', () => {
  let metadata: MetadataServer
  let daemon: Daemon

  beforeAll(async () => {
    metadata = await new MetadataServer().start()
    const providers = JSON.stringify({ local: { metadata_endpoint: metadata.endpoint } })
    daemon = await startDaemon({ environment: { MUSTER_PROVIDERS: providers } })
    // One host, and no room for another but beside one that leaves.
    await daemon.setRegion({ target_free_agents: 1, max_hosts: 1, max_surge_hosts: 1 })
    await eventually(async () => (await standing()).length === 1, {
      what: 'one host stands',
    })
  })
  afterAll(async () => {
    await daemon.dispose()
    metadata.stop()
  })

  const standing = async () => (await daemon.get<{ hosts: readonly ShownHost[] }>('/v1/hosts')).body.hosts
  const hostOf = async (id: string) => (await daemon.get<ShownHost>(`/v1/hosts/${id}`)).body
  const answerOf = async ({ address, port }: { address: string; port: number }) =>
    (await (await fetch(`http://${address}:${port}/`)).json()) as { session_id?: string; ends_at?: string }
  /** A user on the only host that takes users. */
  const aUser = (name: string) => eventually(() => aSession(daemon, name), { everyMs: 250 })

  it('is fenced, replaced beside itself and, though it is busy and the daemon was killed, ended at its time', async () => {
    const seat = await aUser('ann')
    const { cloud_id: machine } = await hostOf(seat.host_id)
    // Nothing but the notice may end it.
    await daemon.graphql(
      'mutation ($id: String!) { update_fleet_hosts_by_pk(pk_columns: {id: $id}, _set: {protected: true}) { id } }',
      {
        id: seat.host_id,
      },
    )
    const end = new Date(Math.ceil(Date.now() / 1000) * 1000 + 15_000)
    metadata.interrupt(end, { machine })

    const fenced = await eventually(async () => {
      const host = await hostOf(seat.host_id)
      return host.status === 'DRAINING' && host
    })
    expect(fenced).toMatchObject({ ends_at: end.toISOString(), live: 1 })
    expect(fenced.reason).toBe(
      `its provider ends the machine at ${end.toISOString().replace('.000Z', 'Z')} (terminate)`,
    )
    const { body } = await daemon.fetch<{ sessions: readonly object[] }>('/v1/sessions', {
      headers: { authorization: `Bearer ${await tokenOf('ann')}` },
    })
    expect(body.sessions).toMatchObject([{ session_id: seat.session_id, ends_at: end.toISOString() }])
    expect(await answerOf(seat)).toMatchObject({ session_id: seat.session_id, ends_at: end.toISOString() })
    await daemon.signal('SIGKILL')
    expect(await sessionOf(seat)).toBe(seat.session_id)
    await daemon.start()
    // Beside the one that is taken, or after it, as fast as this machine is: max_hosts is 1.
    await eventually(
      async () => (await standing()).some(({ id, status }) => id !== seat.host_id && status === 'ACTIVE'),
      { what: 'its replacement is ACTIVE' },
    )
    await eventually(async () => (await hostOf(seat.host_id)).status === 'TERMINATED')
    expect(Date.now()).toBeGreaterThanOrEqual(end.getTime())
    const ended = (await daemon.decisions(`target=${seat.host_id}&limit=100`)).filter(
      ({ kind }) => kind === 'terminate',
    )
    expect(ended.map(({ reason }) => reason)).toEqual([
      'its provider ends the machine now, as it gave notice',
    ])
    const { fleet_assignments: assignments } = await daemon.graphql<{
      fleet_assignments: { ended_at: string }[]
    }>('query ($session: String!) { fleet_assignments(where: {session_id: {_eq: $session}}) { ended_at } }', {
      session: seat.session_id,
    })
    expect(assignments).toHaveLength(1)
    expect(Date.parse(assignments[0]!.ended_at)).toBeGreaterThanOrEqual(end.getTime())
    await expectNoneDoubledOrOrphaned(daemon)
  })

  it('is replaced first where its provider only advises to leave it, and its session goes on to its end', async () => {
    const seat = await aUser('ben')
    const { cloud_id: machine } = await hostOf(seat.host_id)
    metadata.advise(new Date(), machine)
    const replacement = await eventually(
      async () => {
        const hosts = await standing()
        const [old, other] = [
          hosts.find(({ id }) => id === seat.host_id),
          hosts.find(({ replaces }) => replaces === seat.host_id),
        ]
        expect(hosts.length).toBeLessThanOrEqual(2)
        // What was seen at one moment: nobody is without room to go.
        if (old?.status !== 'ACTIVE') expect([old?.status, other?.status]).toEqual(['DRAINING', 'ACTIVE'])
        return old?.status === 'DRAINING' && other
      },
      { everyMs: 5, what: 'the exchange' },
    )
    expect(await hostOf(seat.host_id)).toMatchObject({
      reason: `its provider advises to leave its machine, and its replacement ${replacement.id} is ACTIVE`,
      ends_at: null,
      live: 1,
    })
    expect(await sessionOf(seat)).toBe(seat.session_id)
    const decided = await daemon.decisions(`target=${seat.host_id}&limit=100`)
    expect(decided.map(({ kind }) => kind).toReversed()).toEqual(['replace', 'drain'])
    await fetch(`http://${seat.address}:${seat.port}/end`, { method: 'POST' })
    await eventually(async () => (await hostOf(seat.host_id)).status === 'TERMINATED')
    expect((await standing()).map(({ id }) => id)).toEqual([replacement.id])
    await expectNoneDoubledOrOrphaned(daemon)
  })
})
