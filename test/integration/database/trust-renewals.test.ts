/** Renewals: what follows a certificate, how often, and what goes with one that was stolen. */
import { expect } from 'vitest'

import { blockedOrDone, both, call, piece, proveDefences, refusalOf, refused } from './defence.ts'
import {
  backend,
  byHand,
  enable,
  issue,
  minutesPass,
  open,
  reasons,
  seedStatic,
  serialOf,
  sha256,
} from './trust-seed.ts'

proveDefences('a certificate follows another', [
  {
    holds:
      'with a certificate goes what was renewed from it, however often; not with one that was superseded',
    check: async (fleet) => {
      const { id } = await seedStatic(fleet)
      const renew = async (from: string, to: string) => {
        expect(await issue(fleet, id, to, { renews: from })).toHaveLength(1)
        await minutesPass(fleet, 2)
      }
      await renew('c1', 'c2')
      await open(fleet, 'c2')
      await renew('c2', 'c3')
      await issue(fleet, id, 'unrelated')
      const other = await byHand(fleet)
      await issue(fleet, other, 'of another')
      const revoke = (name: string, reason: string) =>
        call(fleet.pool, 'revoke_certificate', [serialOf(name), reason, 'anna'])
      await revoke('c1', 'superseded')
      const live = { c2: null, c3: null, unrelated: null, 'of another': null }
      expect(await reasons(fleet)).toEqual({ ...live, c1: 'superseded' })
      expect(await backend(fleet, id)).toMatchObject({ status: 'ENABLED' })
      // It was stolen after all. The manager is on c2, which may be the thief.
      const gone = 'certificate-revoked'
      expect(await revoke('c1', gone)).toMatchObject([
        { serial: serialOf('c1'), revoke_reason: 'superseded' },
      ])
      expect(await reasons(fleet)).toEqual({ ...live, c1: 'superseded', c2: gone, c3: gone })
      expect(await backend(fleet, id)).toMatchObject({ status: 'TERMINATED', reason: gone })
      const records = await fleet.sql(
        `select serial, details ->> 'with' as from from fleet.audit where act = 'certificate-revoked' order by id`,
      )
      const [c1, c2, c3] = ['c1', 'c2', 'c3'].map(serialOf)
      expect(records.map((row): unknown => [row['serial'], row['from']])).toEqual([[c1, c1], [c2, c1], [c3, c1]]) // prettier-ignore
      // Nor does it come back with its backend.
      await enable(fleet, id)
      expect(await open(fleet, 'c2')).toEqual([])
      expect(await open(fleet, 'c3')).toEqual([])
    },
    without: [
      piece('revoke_certificate', `where revoke_certificate.reason <> 'superseded'`, 'where false'),
      piece('revoke_certificate', `where revoke_certificate.reason <> 'superseded'`),
      piece('revoke_certificate', 'c.renews = d.serial', `c.renews = '${serialOf('c1')}'`),
      piece('revoke_certificate', 'c.renews = d.serial', 'true'),
      piece(
        'revoke_certificate',
        'backend.connected_serial = any (revoked)',
        'backend.connected_serial = serial',
      ),
      piece(
        'store_certificate',
        `certificate ->> 'spki_hash', store_certificate.renews,`,
        `certificate ->> 'spki_hash', null,`,
      ),
    ],
  },
  {
    holds: 'a renewal that waits for a revocation gets nothing, and one that was first goes with it',
    check: async (fleet) => {
      const { id } = await seedStatic(fleet)
      const revocation = [serialOf('c1'), 'certificate-revoked', 'anna']
      const first = await fleet.connect()
      await first.query('begin')
      const row = {
        ...{ serial: serialOf('c2'), spki_hash: sha256('c2'), issuer: 'i', pem: 'PEM of c2' },
        ...{ not_before: '2020-01-01', not_after: '2040-01-01' },
      }
      const renewed = await call(first, 'store_certificate', [id, row, serialOf('c1'), 'manager'])
      expect(renewed).toHaveLength(1)
      const second = await fleet.connect()
      const revoked = call(second, 'revoke_certificate', revocation)
      await blockedOrDone(fleet, second, revoked)
      await first.query('commit')
      expect(await revoked).toHaveLength(1)
      expect(await reasons(fleet)).toEqual({ c1: 'certificate-revoked', c2: 'certificate-revoked' })
    },
    without: [
      both(
        piece('lock_backend', 'where h.id = seen for no key update;', 'where h.id = seen;'),
        piece(
          'lock_backend',
          'where b.id = lock_backend.backend_id for no key update;',
          'where b.id = lock_backend.backend_id;',
        ),
      ),
    ],
  },
  {
    holds: 'a backend is renewed once a minute, and has one successor that nobody has used',
    check: async (fleet) => {
      const { id } = await seedStatic(fleet)
      const renew = async (from: string, to: string, of = id) =>
        (await refusalOf(issue(fleet, of, to, { renews: from }))) ?? 'renewed'
      const live = async () =>
        (await fleet.sql('select pem from fleet.certificates c where fleet.certificate_is_live(c) order by pem'))
          .map((row) => (row['pem'] as string).slice(7)) // prettier-ignore
      expect(await renew('c1', 'c2')).toBe('renewed')
      // The same key is answered alike; another is told to wait, by whatever certificate it asks.
      expect(await issue(fleet, id, 'again', { renews: 'c1', key: 'key of c2' })).toMatchObject([
        { serial: serialOf('c2') },
      ])
      expect(await renew('c1', 'c3')).toBe(refused)
      expect(await renew('c2', 'c3')).toBe(refused)
      expect(await live()).toEqual(['c1', 'c2'])
      await minutesPass(fleet, 2)
      await fleet.sql('delete from fleet.changes')
      expect(await renew('c1', 'c3')).toBe('renewed')
      expect(await live()).toEqual(['c1', 'c3'])
      const news = await fleet.sql(`select row_id from fleet.changes where table_name = 'certificates'`)
      expect(news.map((row): unknown => row['row_id']).sort()).toEqual(['c2', 'c3'].map(serialOf).sort())
      expect(await open(fleet, 'c2')).toEqual([])
      // One that is in use stays, and so does one that follows another.
      await open(fleet, 'c3')
      await minutesPass(fleet, 2)
      expect(await renew('c3', 'c4')).toBe('renewed')
      await minutesPass(fleet, 2)
      expect(await renew('c1', 'c5')).toBe('renewed')
      expect(await live()).toEqual(['c1', 'c3', 'c4', 'c5'])
      // Another backend is no reason to wait; nor is a certificate that follows none.
      const other = await byHand(fleet)
      await issue(fleet, other, 'd1')
      expect(await renew('d1', 'd2', other)).toBe('renewed')
      expect(await issue(fleet, id, 'c6')).toHaveLength(1)
      // A life of minutes is renewed more often.
      const short = { not_before: new Date(), not_after: new Date(Date.now() + 60_000) }
      const brief = { serial: serialOf('e'), spki_hash: sha256('e'), issuer: 'i', pem: 'PEM of e', ...short }
      const third = await byHand(fleet)
      await issue(fleet, third, 'e1')
      await call(fleet.pool, 'store_certificate', [third, brief, serialOf('e1'), 'manager'])
      await minutesPass(fleet, 0.2)
      expect(await renew('e1', 'e2', third)).toBe('renewed')
    },
    without: [
      piece(
        'store_certificate',
        `least(interval '1 minute', (c.not_after - c.not_before) / 10)`,
        `interval '0'`,
      ),
      piece(
        'store_certificate',
        `least(interval '1 minute', (c.not_after - c.not_before) / 10)`,
        `interval '1 minute'`,
      ),
      piece(
        'store_certificate',
        'c.backend_id = backend.id and c.renews is not null',
        'c.renews is not null',
      ),
      piece(
        'store_certificate',
        'c.backend_id = backend.id and c.renews is not null',
        'c.renews = store_certificate.renews',
      ),
      piece('store_certificate', 'set retires_at = now()', 'set retires_at = c.retires_at'),
      piece('store_certificate', 'and c.first_used_at is null'),
      piece(
        'store_certificate',
        'c.backend_id = backend.id and c.renews = known.renews and',
        'c.backend_id = backend.id and',
      ),
    ],
  },
])
