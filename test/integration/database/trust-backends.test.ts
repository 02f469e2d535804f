/** The life of a backend and its certificates, whoever writes. */
import { expect } from 'vitest'

import type { BackendStatus } from '../../../src/model/backend.ts'
import { backendStatuses, backendTransitionIsLegal } from '../../../src/model/backend.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import {
  both,
  call,
  claim,
  constraint,
  piece,
  proveDefences,
  refusalOf,
  refused,
  tally,
  trigger,
} from './defence.ts'
import {
  acts,
  backend,
  byHand,
  enable,
  endHost,
  hosts,
  issue,
  open,
  reasons,
  redeem,
  region,
  remove,
  seedConnected,
  seedFleet,
  seedStatic,
  serialOf,
  sha256,
  terminate,
} from './trust-seed.ts'

const agents = (fleet: FleetDatabase) => fleet.sql('select id, status from fleet.agents order by id')

proveDefences('backends live and end as the model says', [
  {
    holds: 'backends move as src/model/backend.ts says, pair by pair',
    check: async (fleet) => {
      for (const was of backendStatuses) {
        for (const becomes of backendStatuses) {
          const reason = (status: BackendStatus) => (status === 'ENABLED' ? null : 'user')
          const id = `${was} ${becomes}`
          await fleet.sql('insert into fleet.backends (id, name, status, reason) values ($1, $1, $2, $3)', [
            ...[id, was, reason(was)],
          ])
          const refusal = await refusalOf(
            fleet.sql('update fleet.backends set status = $2 where id = $1', [id, becomes]),
          )
          const isLegal = was === becomes || backendTransitionIsLegal(was, becomes)
          expect(refusal, id).toBe(isLegal ? undefined : refused)
          const after = isLegal ? becomes : was
          expect(await backend(fleet, id)).toMatchObject({ status: after, reason: reason(after) })
          const { terminated_at: terminatedAt } = await backend(fleet, id)
          if (was !== becomes && isLegal) expect(terminatedAt !== null).toBe(becomes === 'TERMINATED')
        }
      }
    },
    without: [
      both(trigger('backends', 'guard'), constraint('backends', 'backends_reason')),
      piece(
        'backend_transition_is_legal',
        `when 'TERMINATED' then becomes = 'ENABLED'`,
        `when 'TERMINATED' then true`,
      ),
      piece('guard_backend', 'new.terminated_at :=', 'new.updated_at :='),
    ],
  },
  {
    holds: 'a backend keeps its id, its launch and its region',
    check: async (fleet) => {
      await seedFleet(fleet)
      await fleet.seedRegion('local/other')
      const id = await byHand(fleet, region)
      for (const change of [`id = 'x'`, `launch_id = 'L'`, `region_id = 'local/other'`]) {
        expect(
          await refusalOf(fleet.sql(`update fleet.backends set ${change} where id = $1`, [id])),
          change,
        ).toBe(refused)
      }
      await fleet.sql(`delete from fleet.images`)
      await fleet.sql(`delete from fleet.regions where id = $1`, [region])
      expect((await backend(fleet, id))['region_id']).toBeNull()
      expect(await refusalOf(fleet.sql(`update fleet.backends set region_id = 'local/other'`))).toBe(refused)
    },
    without: [
      trigger('backends', 'guard'),
      piece(
        'guard_backend',
        'new.region_id is not null and new.region_id is distinct from old.region_id',
        'false',
      ),
    ],
  },
  {
    holds: 'a launched backend ends with its host, and its certificates with it',
    check: async (fleet) => {
      await seedConnected(fleet)
      await issue(fleet, 'h1', 'c2', { renews: 'c1' })
      await endHost(fleet, 'h1')
      expect(await backend(fleet, 'h1')).toMatchObject({
        ...{ status: 'TERMINATED', reason: 'host-terminated', host_id: 'h1' },
      })
      expect(await reasons(fleet)).toEqual({ c1: 'host-terminated', c2: 'host-terminated' })
      expect(await enable(fleet, 'h1')).toEqual([])
      expect(await refusalOf(fleet.sql(`update fleet.backends set status = 'ENABLED'`))).toBe(refused)
      expect((await acts(fleet)).at(-1)).toBe('backend-terminated')
    },
    without: [
      trigger('hosts', 'end_backend'),
      piece('end_backend', `revoke_reason = 'host-terminated'`, `revoke_reason = 'user'`),
      piece('guard_backend', `new.status = 'ENABLED' and new.launch_id is not null`, 'false'),
      both(
        piece('enable_backend', 'backend.launch_id is not null and not exists', 'false and not exists'),
        piece('guard_backend', `new.status = 'ENABLED' and new.launch_id is not null`, 'false'),
      ),
      piece('end_backend', 'perform fleet.note_act(', 'perform concat('),
    ],
  },
  {
    holds: 'who deletes the row of a host ends its backend too',
    check: async (fleet) => {
      const { id } = await seedStatic(fleet)
      await terminate(fleet, id, 'drain')
      await fleet.seedHosts(['h1'], { status: 'LAUNCHING', launch_id: 'L', address: null })
      await call(fleet.pool, 'store_launch_token', ['L', 't1', sha256('t1'), 1, 900, 1])
      await redeem(fleet, 'm1')
      await issue(fleet, 'h1', 'c2')
      await fleet.sql('delete from fleet.hosts')
      expect(await backend(fleet, id)).toMatchObject({ status: 'TERMINATED', reason: 'user', host_id: null })
      expect(await backend(fleet, 'h1')).toMatchObject({ status: 'TERMINATED', reason: 'host-terminated' })
      expect(await reasons(fleet)).toEqual({ c1: null, c2: 'host-terminated' })
    },
    without: [
      trigger('hosts', 'end_backend_of_deleted'),
      piece('guard_backend', 'new.host_id is null and old.host_id is not null', 'false'),
    ],
  },
  {
    holds: 'a backend by hand outlives its host, and gets another with the same name',
    check: async (fleet) => {
      const { id, host } = await seedStatic(fleet)
      await endHost(fleet, host)
      expect(await backend(fleet, id)).toMatchObject({ status: 'ENABLED', host_id: null })
      expect(await reasons(fleet)).toEqual({ c1: null })
      const [again] = await open(fleet, 'c1')
      expect(again!['host_id']).not.toBe(host)
      const names = (await hosts(fleet)).map((row) => `${String(row['status'])} ${String(row['cloud_id'])}`)
      expect(names.sort()).toEqual([`ACTIVE backend:${id}`, `TERMINATED backend:${id}/${host}`])
    },
    without: [trigger('hosts', 'end_backend'), piece('release_name', `|| '/' || new.id`)].map(
      (mutation) => async (fleet: FleetDatabase) => {
        // The name that is not given back is refused by its index: seen as what it is, not as a statement that broke.
        await fleet.sql('drop index fleet.hosts_cloud_id')
        return mutation(fleet)
      },
    ),
  },
  {
    holds: 'kill ends the host and whatever runs on it; drain lets it finish, and ends with it',
    check: async (fleet) => {
      const { id, host } = await seedStatic(fleet)
      await claim(fleet.pool, { user: 'u1' })
      expect(await terminate(fleet, id, 'drain')).toMatchObject([{ status: 'TERMINATING', reason: 'user' }])
      expect(await hosts(fleet)).toMatchObject([{ status: 'DRAINING' }])
      expect(tally((await agents(fleet)).map((row): unknown => row['status']))).toEqual({
        ALLOCATED: 1,
        DYING: 1,
      })
      expect(await open(fleet, 'c1')).toHaveLength(1)
      expect(await issue(fleet, id, 'c2', { renews: 'c1' })).toHaveLength(1)
      expect(await issue(fleet, id, 'c3')).toEqual([])
      const record = await acts(fleet)
      expect(await terminate(fleet, id, 'drain')).toMatchObject([{ status: 'TERMINATING' }])
      expect(await acts(fleet)).toEqual(record)

      expect(await terminate(fleet, id, 'kill', 'certificate-revoked')).toMatchObject([
        { status: 'TERMINATED', reason: 'certificate-revoked' },
      ])
      expect(await hosts(fleet)).toMatchObject([{ status: 'TERMINATING' }])
      expect(await agents(fleet)).toMatchObject([{ status: 'DYING' }, { status: 'DYING' }])
      expect((await fleet.sql('select ended_at from fleet.assignments'))[0]!['ended_at']).not.toBeNull()
      expect(await open(fleet, 'c1')).toEqual([])
      expect(await terminate(fleet, id, 'kill')).toMatchObject([{ reason: 'certificate-revoked' }])
      await endHost(fleet, host)
      // Its certificates wait for the day on which somebody enables it again.
      expect(await reasons(fleet)).toEqual({ c1: null, c2: null })
      expect(await enable(fleet, id)).toMatchObject([
        { status: 'ENABLED', reason: null, terminated_at: null },
      ])
      expect(await open(fleet, 'c1')).toHaveLength(1)

      const [other] = await terminate(fleet, id, 'drain')
      await endHost(fleet, other!['host_id'] as string)
      expect(await backend(fleet, id)).toMatchObject({ status: 'TERMINATED', host_id: null, reason: 'user' })
      await enable(fleet, id)
      expect(await terminate(fleet, id, 'drain')).toMatchObject([{ status: 'TERMINATED' }])
    },
    without: [
      trigger('backends', 'fence'),
      piece('fence_backend', `a.host_id = new.host_id and a.status <> 'DYING'`, 'false'),
      piece(
        'store_certificate',
        `or (backend.status = 'TERMINATING' and store_certificate.renews is not null)`,
      ),
      piece('terminate_backend', 'backend.status = becomes or', 'false or'),
      piece('guard_backend', `old.status = 'TERMINATING' or`, 'false or'),
      piece(
        'terminate_backend',
        'and exists (select 1 from fleet.hosts h',
        'or exists (select 1 from fleet.hosts h',
      ),
    ],
  },
  {
    holds: 'plain SQL that terminates a backend fences its host as well',
    check: async (fleet) => {
      await seedConnected(fleet)
      await fleet.sql(`update fleet.backends set status = 'TERMINATING'`)
      expect(await hosts(fleet)).toMatchObject([{ status: 'DRAINING' }])
      await fleet.sql(`update fleet.backends set status = 'TERMINATED'`)
      expect(await hosts(fleet)).toMatchObject([{ status: 'TERMINATING' }])
      expect(await enable(fleet, 'h1')).toEqual([])
    },
    without: [trigger('backends', 'fence')],
  },
  {
    holds:
      'a backend is deleted when it is not connected and has no host, or by force, with all that it could do',
    check: async (fleet) => {
      await seedConnected(fleet)
      expect(await remove(fleet, 'h1', false)).toEqual([])
      await call(fleet.pool, 'disconnect_backends', [null, 1])
      expect(await remove(fleet, 'h1', false)).toEqual([])
      await call(fleet.pool, 'create_token', ['h1', 't2', sha256('t2'), 900, 'anna'])
      await issue(fleet, 'h1', 'c2', { renews: 'c1' })
      await call(fleet.pool, 'revoke_certificate', [serialOf('c2'), 'user', 'anna'])
      expect(await remove(fleet, 'h1', true)).toMatchObject([{ id: 'h1' }])
      expect(await hosts(fleet)).toMatchObject([{ status: 'TERMINATING' }])
      expect(tally((await agents(fleet)).map((row): unknown => row['status']))).toEqual({ DYING: 2 })
      expect(await reasons(fleet)).toEqual({ c1: 'deleted', c2: 'user' })
      expect(await fleet.sql('select backend_id from fleet.certificates')).toEqual([
        { backend_id: null },
        { backend_id: null },
      ])
      expect(await redeem(fleet, 'm1', { token: 't2' })).toEqual([])
      expect(await open(fleet, 'c1')).toEqual([])

      const id = await byHand(fleet)
      await issue(fleet, id, 'c3')
      await open(fleet, 'c3')
      expect(await remove(fleet, id, false)).toEqual([])
      await call(fleet.pool, 'disconnect_backends', [[id], 1])
      expect(await remove(fleet, id, false)).toHaveLength(1)
      expect(await remove(fleet, id, true)).toEqual([])
      expect((await acts(fleet)).filter((act) => act === 'backend-deleted')).toHaveLength(2)
      expect(await refusalOf(fleet.sql(`update fleet.certificates set backend_id = 'h1'`))).toBe(refused)
    },
    without: [
      trigger('backends', 'forget'),
      trigger('certificates', 'guard'),
      piece('delete_backend', 'backend.connected_at is not null', 'false'),
      piece(
        'delete_backend',
        'or exists (select 1 from fleet.hosts',
        'or false and exists (select 1 from fleet.hosts',
      ),
    ],
  },
])
