/** Certificates, the audit, and what is told and forgotten of trust. */
import { expect } from 'vitest'

import { both, call, index, piece, proveDefences, refusalOf, refused, tally, trigger } from './defence.ts'
import {
  acts,
  backend,
  byHand,
  enable,
  endHost,
  hosts,
  issue,
  minutesPass,
  open,
  reasons,
  redeem,
  remove,
  seedConnected,
  seedFleet,
  seedLaunch,
  seedStatic,
  serialOf,
  sha256,
  terminate,
} from './trust-seed.ts'

proveDefences('certificates are what they were issued as', [
  {
    holds: 'revoking what is in use, or the last that is live, terminates the backend; another only itself',
    check: async (fleet) => {
      const { id } = await seedStatic(fleet)
      await issue(fleet, id, 'c2', { renews: 'c1' })
      await issue(fleet, id, 'c3')
      const revoke = (name: string, reason = 'superseded') =>
        call(fleet.pool, 'revoke_certificate', [serialOf(name), reason, 'anna'])
      expect(await revoke('c2')).toMatchObject([{ revoke_reason: 'superseded' }])
      expect(await revoke('c2', 'user')).toMatchObject([{ revoke_reason: 'superseded' }])
      expect(await backend(fleet, id)).toMatchObject({ status: 'ENABLED' })
      expect(await revoke('nothing')).toEqual([])
      expect(await revoke('c1')).toMatchObject([{ serial: serialOf('c1') }])
      expect(await backend(fleet, id)).toMatchObject({ status: 'TERMINATED', reason: 'certificate-revoked' })
      expect(await hosts(fleet)).toMatchObject([{ status: 'TERMINATING' }])
      expect(tally(await acts(fleet))).toMatchObject({ 'certificate-revoked': 2, 'backend-terminated': 1 })

      const other = await byHand(fleet)
      await issue(fleet, other, 'd1', { seconds: -60 })
      await issue(fleet, other, 'd2')
      await issue(fleet, other, 'd3')
      await revoke('d1')
      await revoke('d2')
      expect(await backend(fleet, other)).toMatchObject({ status: 'ENABLED' })
      await revoke('d3')
      expect(await backend(fleet, other)).toMatchObject({
        status: 'TERMINATED',
        reason: 'certificate-revoked',
      })
      // What had ended by itself takes nothing with it.
      const idle = await byHand(fleet)
      await issue(fleet, idle, 'e1', { seconds: -60 })
      await revoke('e1')
      expect(await backend(fleet, idle)).toMatchObject({ status: 'ENABLED' })
    },
    without: [
      piece('revoke_certificate', 'backend.connected_serial = any (revoked) or', 'false or'),
      piece('revoke_certificate', '(was_live', '(true'),
      piece('revoke_certificate', 'c.backend_id = backend.id and fleet.certificate_is_live(c)', 'false'),
      piece(
        'revoke_certificate',
        'and not exists (select 1 from fleet.certificates c where c.backend_id = backend.id',
        'and not exists (select 1 from fleet.certificates c where true',
      ),
      piece(
        'revoke_certificate',
        `set status = 'TERMINATED', reason = 'certificate-revoked'`,
        'set status = b.status',
      ),
      both(trigger('certificates', 'guard'), piece('revoke_certificate', 'and c.revoked_at is null')),
    ],
  },
  {
    holds: 'a key that the daemon made is on record as such',
    check: async (fleet) => {
      const id = await byHand(fleet)
      await issue(fleet, id, 'c1')
      await issue(fleet, id, 'c2', { keyMadeHere: true })
      const made = await fleet.sql(
        `select details -> 'key_made_here' as made from fleet.audit where act = 'certificate-issued' order by id`,
      )
      expect(made).toEqual([{ made: false }, { made: true }])
    },
    without: [piece('store_certificate', `certificate ->> 'key_made_here'`, `certificate ->> 'other'`)],
  },
  {
    holds: 'what was issued never changes; what is revoked or retires stays so; a key has one certificate',
    check: async (fleet) => {
      await seedFleet(fleet)
      const id = await byHand(fleet)
      await issue(fleet, id, 'c1')
      await fleet.sql(
        `update fleet.certificates set revoked_at = now(), revoke_reason = 'user', retires_at = now()`,
      )
      for (const change of [
        `serial = '${serialOf('x')}'`,
        `renews = '${serialOf('x')}'`,
        `spki_hash = '${sha256('x')}'`,
        `pem = 'x'`,
        `issuer = 'x'`,
        `not_after = not_after + interval '1 day'`,
        `not_before = not_before - interval '1 day'`,
        `revoked_at = null, revoke_reason = null`,
        `revoke_reason = 'superseded'`,
        `retires_at = null`,
        `retires_at = now() + interval '1 day'`,
      ]) {
        expect(await refusalOf(fleet.sql(`update fleet.certificates set ${change}`)), change).toBe(refused)
      }
      const other = await byHand(fleet)
      expect(await issue(fleet, other, 'c2', { key: 'key of c1' })).toEqual([])
      const copy = `insert into fleet.certificates (serial, spki_hash, issuer, pem, not_before, not_after)
        select $1, spki_hash, issuer, pem, not_before, not_after from fleet.certificates limit 1`
      expect(await refusalOf(fleet.sql(copy, [serialOf('c3')]))).toBe('23505')
    },
    without: [
      trigger('certificates', 'guard'),
      index('certificates_key'),
      piece('guard_certificate', 'or new.retires_at > old.retires_at'),
      piece('guard_certificate', 'or new.renews is distinct from old.renews'),
    ],
  },
  {
    holds:
      'a key that got its certificate within 5 minutes is answered with it; a renewal follows a live one only',
    check: async (fleet) => {
      await seedFleet(fleet)
      const id = await byHand(fleet)
      const answers = await Promise.all(
        ['a', 'b', 'c', 'd'].map((name) => issue(fleet, id, name, { key: 'k' })),
      )
      const [serial] = answers.flat().map((row): unknown => row['serial'])
      expect(answers.flat().map((row): unknown => row['serial'])).toEqual([serial, serial, serial, serial])
      expect(tally(await acts(fleet))).toMatchObject({ 'certificate-issued': 1 })
      await issue(fleet, id, 'c1')
      expect(await issue(fleet, id, 'c2', { renews: 'c1' })).toHaveLength(1)
      await minutesPass(fleet, 2)
      await call(fleet.pool, 'revoke_certificate', [serialOf('c2'), 'user', 'anna'])
      const other = await byHand(fleet)
      for (const [backendId, renews] of [
        [id, 'c2'],
        [other, 'c1'],
        [id, 'nothing'],
      ] as const) {
        // prettier-ignore
        expect(await issue(fleet, backendId, 'c4', { renews }), renews).toEqual([])
      }
      // A certificate that was revoked meanwhile is no answer.
      expect(await issue(fleet, id, 'c5', { key: 'key of c2' })).toEqual([])
      await minutesPass(fleet, 6)
      expect(await issue(fleet, id, 'e', { key: 'k' })).toEqual([])
      await minutesPass(fleet, 60)
      expect(await issue(fleet, id, 'c4', { renews: 'c1' })).toEqual([])
    },
    without: [
      piece('store_certificate', `and known.created_at > now() - interval '5 minutes'`),
      piece('store_certificate', 'and fleet.certificate_is_live(known)'),
      piece(
        'store_certificate',
        'c.backend_id = backend.id and fleet.certificate_is_live(c)',
        'c.backend_id = backend.id',
      ),
      piece(
        'store_certificate',
        'and c.backend_id = backend.id and fleet.certificate_is_live(c)',
        'and fleet.certificate_is_live(c)',
      ),
    ],
  },
  {
    holds: 'the audit is append-only',
    check: async (fleet) => {
      await byHand(fleet)
      for (const change of [
        `update fleet.audit set actor = 'nobody'`,
        'delete from fleet.audit',
        'truncate fleet.audit',
      ]) {
        expect(await refusalOf(fleet.sql(change)), change).toBe(refused)
      }
    },
    without: [trigger('audit', 'guard'), trigger('audit', 'guard_whole')],
  },
  {
    holds: 'what has ended is pruned with its certificates once it is old; the audit never',
    check: async (fleet) => {
      await seedLaunch(fleet, 2)
      for (const name of ['1', '2']) {
        await redeem(fleet, `m${name}`)
        await issue(fleet, `h${name}`, `c${name}`, { key: `key of m${name}` })
        await endHost(fleet, `h${name}`)
      }
      const id = await byHand(fleet)
      await issue(fleet, id, 'c3')
      await terminate(fleet, id, 'kill')
      const record = await acts(fleet)
      const prune = (days: number) => call(fleet.pool, 'prune', [days, 1])
      const left = async () => [
        (await fleet.sql('select name from fleet.backends order by name')).map((row): unknown => row['name']),
        Object.keys(await reasons(fleet)),
        (await fleet.sql('select id from fleet.enrolment_tokens')).length,
      ]
      await prune(0)
      expect(await left()).toEqual([['by hand', 'm1', 'm2'], ['c1', 'c2', 'c3'], 1])
      await minutesPass(fleet, 25 * 60)
      await prune(7)
      expect(await left()).toEqual([['by hand', 'm1', 'm2'], ['c1', 'c2', 'c3'], 0])
      await fleet.sql(
        `update fleet.backends set terminated_at = now() - interval '8 days' where id in ('h1', $1)`,
        [id],
      )
      await prune(7)
      expect(await left()).toEqual([['by hand', 'm2'], ['c2', 'c3'], 0])
      await minutesPass(fleet, 8 * 24 * 60)
      await prune(7)
      expect(await left()).toEqual([['by hand', 'm2'], [], 0])
      expect(await acts(fleet)).toEqual(record)
    },
    without: [
      piece('prune', 'and b.launch_id is not null'),
      piece(
        'prune',
        'and not exists (select 1 from fleet.certificates c where c.backend_id = b.id and c.not_after > now())',
      ),
      piece('prune', 'and b.terminated_at < horizon'),
      piece('prune', 'where c.not_after < horizon', 'where false'),
      piece('prune', `where t.expires_at < now() - interval '1 hour'`, 'where false'),
    ],
  },
  {
    holds: 'what changes a right is news, of no region; who is connected and what it says is none',
    check: async (fleet) => {
      await seedConnected(fleet)
      const news = async (work: () => Promise<unknown>) => {
        await fleet.sql('delete from fleet.changes')
        await work()
        const rows = await fleet.sql(
          `select table_name, row_id, region_id from fleet.changes where table_name in ('backends', 'certificates') order by sequence`,
        )
        return rows.map(
          (row) => `${String(row['table_name'])} ${String(row['row_id'])}${String(row['region_id'])}`,
        )
      }
      const revision = async () => (await backend(fleet, 'h1'))['revision'] as number
      const before = await revision()
      expect(await news(() => open(fleet, 'c1'))).toEqual([])
      expect(
        await news(() =>
          call(fleet.pool, 'flush_backends', [{ h1: new Date(Date.now() + 5000).toISOString() }, 1]),
        ),
      ).toEqual([])
      expect(await news(() => call(fleet.pool, 'report_info', ['h1', 'c0ffee', 1]))).toEqual([])
      expect(await news(() => call(fleet.pool, 'disconnect_backends', [null, 1]))).toEqual([])
      expect(await revision()).toBe(before)
      const serial = (name: string) => `certificates ${serialOf(name)}`
      expect(await news(() => issue(fleet, 'h1', 'c2', { renews: 'c1' }))).toEqual([serial('c2')])
      expect(await news(() => open(fleet, 'c2'))).toEqual([serial('c1')])
      expect(
        await news(() => call(fleet.pool, 'revoke_certificate', [serialOf('c1'), 'superseded', 'anna'])),
      ).toEqual([serial('c1')])
      expect(await news(() => terminate(fleet, 'h1', 'drain'))).toEqual(['backends h1'])
      expect(await news(() => enable(fleet, 'h1'))).toEqual(['backends h1'])
      expect(await revision()).toBe(before + 2)
      expect(await news(() => remove(fleet, 'h1', true))).toContain('backends h1')
      expect(await news(() => fleet.sql('delete from fleet.certificates'))).toContain(serial('c2'))
    },
    without: [
      trigger('backends', 'note_change'),
      trigger('backends', 'note_update'),
      trigger('certificates', 'note_change'),
      trigger('certificates', 'note_update'),
      trigger('certificates', 'note_delete'),
      piece('guard_backend', 'if same is not distinct from was', 'if false'),
      piece('guard_certificate', 'if same is not distinct from old', 'if false'),
    ],
  },
])
