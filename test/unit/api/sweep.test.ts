import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test } from 'vitest'

import type { SweepDesk } from '../../../src/api/sweep-desk.ts'
import { createApi } from '../../../src/api/server.ts'
import { MusterError } from '../../../src/model/errors.ts'
import type { SweepReport } from '../../../src/model/sweep.ts'
import { anApi, asAdmin, bearer } from '../../support/an-api.ts'

let app: FastifyInstance
let calls: string[]
let report: Omit<SweepReport, 'regionId'>
let isActive: boolean

beforeEach(async () => {
  calls = []
  isActive = true
  report = { failure: null, machines: 2, hosts: 1, findings: [] }
  const sweep: SweepDesk = {
    look: async (regionId, { isDry }) => {
      await Promise.resolve()
      calls.push(`${isDry ? 'dry' : 'real'} ${regionId}`)
      if (!isActive) throw new MusterError('unavailable', 'this daemon is not the active one')
      return { regionId, ...report }
    },
    confirm: async (regionId, actor) => {
      await Promise.resolve()
      calls.push(`confirm ${regionId} by ${actor}`)
    },
    held: (regionId) => (regionId === 'fake/a' ? 3 : 0),
    lastLook: (regionId) => (regionId === 'fake/a' ? 1_500 : undefined),
  }
  const fixture = anApi({ sweep })
  fixture.fleet.region('fake/b')
  fixture.fleet.region('fake/a')
  ;({ app } = await createApi(fixture.options))
})
afterEach(() => app.close())

const post = (payload?: object) =>
  app.inject({ method: 'POST', url: '/v1/sweep', headers: asAdmin, ...(payload && { payload }) })

test('a sweep looks at every region unless one is named, and tells what it found', async () => {
  const finding = { kind: 'clear-orphan', target: 'm1', reason: 'no row' } as const
  report = {
    ...report,
    findings: [
      { ...finding, state: 'waiting', dueAt: 0 },
      { ...finding, state: 'held', dueAt: null },
    ],
  }
  const answer = await post()
  expect(answer.statusCode).toBe(200)
  const region = { failure: null, machines: 2, hosts: 1, confirmed_until: null }
  const findings = [
    { ...finding, state: 'waiting', due_at: '1970-01-01T00:00:00.000Z' },
    { ...finding, state: 'held', due_at: null },
  ]
  expect(answer.json()).toEqual({
    dry_run: false,
    regions: [
      { region: 'fake/a', ...region, findings },
      { region: 'fake/b', ...region, findings },
    ],
  })
  await post({ region: 'fake/b', dry_run: true })
  expect(calls).toEqual(['real fake/a', 'real fake/b', 'dry fake/b'])
})

test('a confirmation comes before the look, bears who gave it, and is no dry run', async () => {
  const headers = await bearer({ sub: 'ann', role: 'operator' })
  const confirm = (payload: object) => app.inject({ method: 'POST', url: '/v1/sweep', headers, payload })
  expect((await confirm({ region: 'fake/a', confirm: true })).statusCode).toBe(200)
  expect(calls).toEqual(['confirm fake/a by ann', 'real fake/a'])
  const both = await confirm({ confirm: true, dry_run: true })
  expect(both.json()).toMatchObject({
    code: 'invalid-request',
    errors: [expect.stringContaining('a dry run changes nothing')],
  })
  expect(calls).toHaveLength(2)
})

test('what cannot be looked at is said, and nothing is confirmed there', async () => {
  expect((await post({ region: 'fake/none', confirm: true })).json()).toMatchObject({ code: 'not-found' })
  expect((await post({ regions: ['fake/a'] })).json()).toMatchObject({ code: 'invalid-request' })
  expect(calls).toEqual([])
  report = { ...report, failure: 'page 2 did not come' }
  expect((await post({ region: 'fake/a' })).json()).toMatchObject({
    regions: [{ failure: 'page 2 did not come' }],
  })
  isActive = false
  expect((await post()).json()).toMatchObject({ code: 'unavailable' })
})

test('metrics say what is held back, and when the last whole look was', async () => {
  const { body } = await app.inject({ url: '/metrics', headers: asAdmin })
  expect(body).toContain('muster_blast_radius_held{region="fake/a"} 3')
  expect(body).toContain('muster_blast_radius_held{region="fake/b"} 0')
  expect(body).toContain('muster_sweep_last_look_timestamp_seconds{region="fake/a"} 1.5')
  expect(body).not.toContain('muster_sweep_last_look_timestamp_seconds{region="fake/b"}')
})
