/** Streams that open and end, and what happens at the same moment. */
import { expect } from 'vitest'

import type { FleetDatabase } from '../../support/fleet-database.ts'
import { both, call, ids, index, piece, proveDefences, refusalOf, refused, tally } from './defence.ts'
import {
  acts,
  backend,
  byHand,
  enable,
  hosts,
  issue,
  minutesPass,
  open,
  redeem,
  region,
  seedConnected,
  seedFleet,
  seedLaunch,
  seedStatic,
  serialOf,
  warm,
} from './trust-seed.ts'

const disconnect = (fleet: FleetDatabase, backends: readonly string[] | null, fence = 1) =>
  call(fleet.pool, 'disconnect_backends', [backends, fence])
const live = async (fleet: FleetDatabase) =>
  (await hosts(fleet)).filter((row) => row['status'] !== 'TERMINATED').length

proveDefences('who connects has the right to, at this moment', [
  {
    holds:
      'a certificate that is unknown, expired, retired or revoked, or whose backend is terminated, opens nothing',
    check: async (fleet) => {
      await seedFleet(fleet)
      const id = await byHand(fleet)
      for (const name of ['good', 'expired', 'retired', 'revoked']) {
        await issue(fleet, id, name, { seconds: name === 'expired' ? -1 : 3600 })
      }
      await fleet.sql(`update fleet.certificates set retires_at = now() where serial = $1`, [
        serialOf('retired'),
      ])
      await call(fleet.pool, 'revoke_certificate', [serialOf('revoked'), 'user', 'anna'])
      const before = await backend(fleet, id)
      for (const name of ['unknown', 'expired', 'retired', 'revoked'])
        expect(await open(fleet, name), name).toEqual([])
      expect(await backend(fleet, id)).toEqual(before)
      expect(await refusalOf(open(fleet, 'good', 2))).toBe(refused)
      expect(await open(fleet, 'good')).toMatchObject([
        { id, connected_serial: serialOf('good'), host_id: null },
      ])
      await fleet.sql(`update fleet.backends set status = 'TERMINATED'`)
      expect(await open(fleet, 'good')).toEqual([])
    },
    without: [
      piece('certificate_is_live', '(certificate).revoked_at is null and'),
      piece('certificate_is_live', '(certificate).not_after > now()', 'true'),
      piece('certificate_is_live', 'coalesce((certificate).retires_at > now(), true)', 'true'),
      piece('connect_backend', `backend.status not in ('ENABLED', 'TERMINATING')`, 'false'),
      piece('connect_backend', 'perform fleet.demand_lease(connect_backend.fence);'),
    ],
  },
  {
    holds: 'the first use of a certificate retires the older ones after 10 minutes, and no other use does',
    check: async (fleet) => {
      await seedConnected(fleet)
      await issue(fleet, 'h1', 'c2', { renews: 'c1' })
      await issue(fleet, 'h1', 'c3')
      const retiring = async () =>
        (await fleet.sql(`select substr(pem, 8) as name, extract(epoch from retires_at - now())::integer as left_s
          from fleet.certificates where retires_at is not null order by pem`)).map((row): unknown => [row['name'], row['left_s']]) // prettier-ignore
      await open(fleet, 'c1')
      expect(await retiring()).toEqual([])
      await open(fleet, 'c2')
      const close = (seconds: number): unknown => expect.closeTo(seconds, -1.5)
      expect(await retiring()).toEqual([['c1', close(600)]])
      await minutesPass(fleet, 5)
      await open(fleet, 'c1')
      await open(fleet, 'c2')
      expect(await retiring()).toEqual([['c1', close(300)]])
      await minutesPass(fleet, 6)
      expect(await open(fleet, 'c1')).toEqual([])
      await open(fleet, 'c3')
      expect(await retiring()).toEqual([['c1', close(-60)], ['c2', close(600)]]) // prettier-ignore
    },
    without: [
      piece('connect_backend', 'and c.created_at <= certificate.created_at'),
      piece(
        'connect_backend',
        `retires_at = now() + interval '10 minutes'`,
        `retires_at = now() + interval '1 hour'`,
      ),
    ],
  },
  {
    holds: 'a host is registered as its manager connects',
    check: async (fleet) => {
      await seedLaunch(fleet, 1)
      await redeem(fleet, 'm1')
      await issue(fleet, 'h1', 'c1', { key: 'key of m1' })
      await fleet.sql(`select fleet.block_launches($1, 'x', 'x')`, [region])
      const stands = async () =>
        (
          await fleet.sql(
            'select status, address, capacity, heartbeat_at is not null as heard from fleet.hosts',
          )
        )[0]
      expect(await stands()).toEqual({
        status: 'PRE_CONNECTION',
        address: '10.0.0.1',
        capacity: 2,
        heard: false,
      })
      await call(fleet.pool, 'connect_backend', [serialOf('c1'), '10.0.0.9', 5, 1])
      expect(await stands()).toEqual({ status: 'ACTIVE', address: '10.0.0.9', capacity: 5, heard: true })
      expect(await fleet.sql('select launch_failures, launch_error_code from fleet.regions')).toEqual([
        { launch_failures: 0, launch_error_code: null },
      ])
      for (const [was, becomes] of [
        ['ACTIVE', 'ACTIVE'],
        ['DRAINING', 'DRAINING'],
      ] as const) {
        // prettier-ignore
        await fleet.sql(`update fleet.hosts set status = $1`, [was])
        await fleet.sql(`update fleet.hosts set status = 'UNRESPONSIVE'`)
        await open(fleet, 'c1')
        expect(await stands()).toMatchObject({ status: becomes })
      }
    },
    without: [
      piece(
        'connect_backend',
        `case when h.status = 'UNRESPONSIVE' then h.status_before else h.status end`,
        'h.status',
      ),
      piece('connect_backend', `set status = 'ACTIVE'`, 'set status = h.status'),
      piece('connect_backend', 'set launch_failures = 0', 'set launch_failures = r.launch_failures'),
    ],
  },
  {
    holds: 'an address that a person gave counts; else what the manager says',
    check: async (fleet) => {
      const { id } = await seedStatic(fleet)
      const connect = async (address: string) => {
        const args = [serialOf('c1'), address, 2, 1]
        const [row] = await call(fleet.pool, 'connect_backend', args)
        return [row!['address'], (await hosts(fleet))[0]!['address']] as unknown
      }
      const update = (changes: object) => call(fleet.pool, 'update_backend', [id, changes, 'anna'])
      expect(await connect('10.1.1.1')).toEqual(['10.1.1.1', '10.1.1.1'])
      expect(await connect('')).toEqual(['10.1.1.1', '10.1.1.1'])
      await update({ address: 'here.test' })
      expect(await hosts(fleet)).toMatchObject([{ address: 'here.test' }])
      expect(await connect('10.1.1.2')).toEqual(['here.test', 'here.test'])
      await update({ name: 'other' })
      expect(await connect('10.1.1.2')).toEqual(['here.test', 'here.test'])
      await update({ address: '' })
      expect(await connect('10.1.1.2')).toEqual(['10.1.1.2', '10.1.1.2'])
    },
    without: [
      piece(
        'connect_backend',
        'case when b.address_is_given then b.address else',
        'case when false then b.address else',
      ),
      piece(
        'connect_backend',
        `coalesce(nullif(connect_backend.address, ''), b.address)`,
        'connect_backend.address',
      ),
      piece(
        'update_backend',
        `update fleet.hosts h set address = changes ->> 'address'`,
        'update fleet.hosts h set address = h.address',
      ),
    ],
  },
  {
    holds: 'streams of one backend that open at once give it one host, and the last of them counts',
    check: async (fleet) => {
      await seedFleet(fleet)
      const id = await byHand(fleet, region)
      await issue(fleet, id, 'c1')
      await issue(fleet, id, 'c2')
      await warm(fleet, 12)
      const answers = await Promise.all(
        Array.from({ length: 24 }, (_, number) =>
          open(fleet, number % 2 === 0 ? 'c1' : 'c2').catch(() => []),
        ),
      )
      expect(answers.flat()).toHaveLength(24)
      expect(await hosts(fleet)).toMatchObject([{ status: 'ACTIVE', cloud_id: `backend:${id}` }])
      expect(new Set(answers.flat().map((row): unknown => row['host_id'])).size).toBe(1)
      expect(tally(await acts(fleet))['host-given']).toBe(1)
    },
    without: [
      both(
        piece('connect_backend', 'for no key update of r;', ';'),
        piece(
          'lock_backend',
          'where b.id = lock_backend.backend_id for no key update;',
          'where b.id = lock_backend.backend_id;',
        ),
        index('hosts_cloud_id'),
      ),
    ],
  },
  {
    holds: 'backends by hand fill a region to its bound and no further, however many connect at once',
    check: async (fleet) => {
      await seedFleet(fleet, { max_hosts: 3 })
      await fleet.seedHosts(['another'])
      const names = ids('c', 8)
      for (const name of names) await issue(fleet, await byHand(fleet, region), name)
      await warm(fleet, 12)
      const answers = (await Promise.all(names.map((name) => open(fleet, name)))).flat()
      expect(answers).toHaveLength(8)
      expect(answers.filter((row) => row['host_id'] !== null)).toHaveLength(2)
      expect(await live(fleet)).toBe(3)
    },
    without: [
      piece('connect_backend', 'for no key update of r;', ';'),
      piece('give_host', 'and r.max_hosts >', 'and 1000 >'),
    ],
  },
  {
    holds: 'a region that is disabled or serves nothing gives no host, nor does a backend that is to end',
    check: async (fleet) => {
      await seedFleet(fleet, { enabled: false })
      const id = await byHand(fleet, region)
      await issue(fleet, id, 'c1')
      expect(await open(fleet, 'c1')).toMatchObject([{ host_id: null }])
      await fleet.sql('update fleet.regions set enabled = true')
      await fleet.sql(`update fleet.images set status = 'RETIRED'`)
      expect(await open(fleet, 'c1')).toMatchObject([{ host_id: null }])
      await fleet.sql(
        `insert into fleet.images (id, region_id, image_id, version, status) values ('i2', $1, 'x', 'v2', 'ACTIVE')`,
        [region],
      )
      await fleet.sql(`update fleet.backends set status = 'TERMINATING'`)
      expect(await open(fleet, 'c1')).toMatchObject([{ host_id: null }])
      await enable(fleet, id)
      expect(await open(fleet, 'c1')).not.toMatchObject([{ host_id: null }])
      expect(await fleet.sql('select image_id, version, provider, launch_id from fleet.hosts')).toEqual([
        { image_id: 'i2', version: 'v2', provider: 'local', launch_id: null },
      ])
    },
    without: [
      piece('give_host', 'and r.enabled'),
      piece('give_host', `and i.status = 'ACTIVE'`),
      piece('connect_backend', `and backend.status = 'ENABLED' then`, 'then'),
    ],
  },
  {
    holds: 'streams that ended are noted: those, or all of them, by who holds the lease',
    check: async (fleet) => {
      await seedFleet(fleet)
      for (const name of ['c1', 'c2']) {
        await issue(fleet, await byHand(fleet), name)
        await open(fleet, name)
      }
      const connected = async () =>
        (await fleet.sql('select id from fleet.backends where connected_at is not null order by id')).map(
          (row) => row['id'] as string,
        )
      const all = await connected()
      expect(all).toHaveLength(2)
      await disconnect(fleet, all, 2)
      await disconnect(fleet, [])
      await disconnect(fleet, ['nobody'])
      expect(await connected()).toEqual(all)
      await disconnect(fleet, all.slice(1))
      expect(await connected()).toEqual(all.slice(0, 1))
      await open(fleet, 'c2')
      await disconnect(fleet, null)
      expect(await connected()).toEqual([])
    },
    without: [
      piece('disconnect_backends', 'fleet.lease_is_held(disconnect_backends.fence)', 'true'),
      piece('disconnect_backends', 'or backend_ids ? b.id', 'or true'),
    ],
  },
  {
    holds: 'when a backend was heard never goes back, and an old daemon notes nothing',
    check: async (fleet) => {
      await seedFleet(fleet)
      const id = await byHand(fleet)
      const flush = (time: string, fence = 1) =>
        call(fleet.pool, 'flush_backends', [{ [id]: time, nobody: time }, fence])
      await flush('2026-11-21T12:00:00Z')
      await flush('2026-11-21T11:00:00Z')
      await flush('2026-11-21T13:00:00Z', 2)
      expect((await backend(fleet, id))['last_seen_at']).toEqual(new Date('2026-11-21T12:00:00Z'))
      await call(fleet.pool, 'report_info', [id, 'c0', 2])
      expect((await backend(fleet, id))['info']).toBeNull()
    },
    without: [
      piece('flush_backends', 'or b.last_seen_at < t.value::timestamptz', 'or true'),
      piece('flush_backends', 'fleet.lease_is_held(flush_backends.fence)', 'true'),
      piece('report_info', 'not fleet.lease_is_held(report_info.fence)', 'false'),
    ],
  },
])
