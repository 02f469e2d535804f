import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createApi } from '../../../src/api/server.ts'
import type { ShownRollout } from '../../../src/api/shown-rollouts.ts'
import { defaultRolloutOptions } from '../../../src/model/rollout.ts'
import type { ApiFixture } from '../../support/an-api.ts'
import { anApi, asAdmin, bearer } from '../../support/an-api.ts'
import { aRollout, aSnapshot } from '../../support/factories.ts'

let fixture: ApiFixture
let app: FastifyInstance

beforeEach(async () => {
  fixture = anApi()
  fixture.fleet.region('fake/b')
  fixture.fleet.region('fake/a')
  ;({ app } = await createApi(fixture.options))
})
afterEach(() => app.close())

interface Started {
  readonly regions: readonly {
    readonly region: string
    readonly image: { readonly id: string; readonly status: string }
    readonly rollout: ShownRollout | null
  }[]
}

const post = (url: string, payload?: object) =>
  app.inject({ method: 'POST', url, headers: asAdmin, ...(payload && { payload }) })
const start = async (body: object) => {
  const answer = await post('/v1/rollouts', body)
  expect(answer.statusCode, answer.body).toBe(200)
  return answer.json<Started>().regions
}
const read = async <T = { rollouts: readonly ShownRollout[] }>(path = '') =>
  (await app.inject({ url: `/v1/rollouts${path}`, headers: asAdmin })).json<T>()

describe('a start', () => {
  test('leads each region to its image, and shows the roll-out as it can be read again', async () => {
    const [started] = await start({ version: '2.0.0', images: { 'fake/a': 'ami-3' } })
    expect(started).toMatchObject({ region: 'fake/a', image: { status: 'CANDIDATE', version: '2.0.0' } })
    const rollout = started?.rollout
    expect(rollout).toMatchObject({
      id: started?.image.id,
      ...{ region: 'fake/a', version: '2.0.0', state: 'PREPARING', paused: false, group: null },
      from: { id: 'fake/a:v1', image_id: 'ami-2', version: 'v1', status: 'ACTIVE' },
      to: { id: started?.image.id, image_id: 'ami-3', version: '2.0.0', status: 'CANDIDATE', free: 0 },
      ...{ canary: null, canary_share: 0, waits_for: 'the next turn of its region' },
      deadline: new Date(fixture.fleet.clock.now() + 9_000_000).toISOString(),
      options: { ...defaultRolloutOptions },
    })
    expect(await read(`/${started?.image.id}`)).toEqual(rollout)
    expect(await read()).toEqual({ rollouts: [rollout] })
    expect(await read('?region=fake/b')).toEqual({ rollouts: [] })
    expect(fixture.fleet.wakes).toEqual(['fake/a api'])
  })

  test('binds several regions, unless told, and once only however often it is sent', async () => {
    const images = { 'fake/b': 'ami-3', 'fake/a': 'ami-3' }
    const first = await start({ version: '2.0.0', images })
    const group = first[0]?.rollout?.group
    expect(group?.members.map(({ region, state }) => [region, state])).toEqual([
      ['fake/a', 'PREPARING'],
      ['fake/b', 'PREPARING'],
    ])
    expect(first[1]?.rollout?.group).toEqual(group)
    expect(await start({ version: '2.0.0', images })).toEqual(first)
    await fixture.fleet.clock.advance(1)
    const alone = await start({ version: '3.0.0', images, group: false })
    expect(alone.map(({ rollout }) => rollout?.group)).toEqual([null, null])
    const { rollouts } = await read('?limit=2')
    expect(rollouts.map(({ version }) => version)).toEqual(['3.0.0', '3.0.0'])
    // What was led to before gives way, and the members say so.
    expect((await read<ShownRollout>(`/${first[0]?.image.id}`)).group?.members).toMatchObject([
      { state: 'ROLLING_BACK' },
      { state: 'ROLLING_BACK' },
    ])
  })

  test('carries its options, over those of the region', async () => {
    await start({ version: '2.0.0', images: { 'fake/a': 'ami-3' } })
    const region = fixture.database.regions.get('fake/a')!
    fixture.database.regions.put({ ...region, rollout: { bake_s: 5, prepare_s: 7, canary_share: 0.5 } })
    const [started] = await start({
      ...{ version: '3.0.0', images: { 'fake/a': 'ami-4' }, canary_share: 0.1 },
      options: { bake_s: 30, ready_s: null, switch: 'hand' },
    })
    expect(started?.rollout).toMatchObject({
      canary_share: 0.1,
      options: { ...defaultRolloutOptions, bake_s: 30, prepare_s: 7, switch: 'hand' },
    })
  })

  test('of an image that is ACTIVE already leads nowhere', async () => {
    await start({ version: 'v1', images: { 'fake/a': 'ami-2' } })
    expect(await read()).toEqual({ rollouts: [] })
  })

  test.each([
    [{}, 'version'],
    [{ version: '2', images: {} }, 'must name at least one region'],
    [{ version: '2', images: { 'fake/a': 7 } }, 'images.fake/a'],
    [{ version: '2', images: ['ami'] }, 'images'],
    [{ version: '', images: { 'fake/a': 'x' } }, 'version'],
    [{ version: '2\u0000', images: { 'fake/a': 'x' } }, 'control characters'],
    [{ version: '2', images: { 'fake/a': 'x' }, canary_share: 1.1 }, 'canary_share'],
    [{ version: '2', images: { 'fake/a': 'x' }, options: { bake_s: '5' } }, 'options.bake_s'],
    [
      { version: '2', images: { 'fake/a': 'x' }, options: { bake: 5 } },
      'there is no option bake; there are prepare_s',
    ],
    [{ version: '2', images: { 'fake/a': 'x' }, canary: 0.1 }, 'canary'],
  ])('with faults is refused, and says them: %j', async (body, fault) => {
    const answer = await post('/v1/rollouts', body)
    expect(answer.statusCode).toBe(400)
    expect(answer.json<{ errors: string[] }>().errors.join('\n')).toContain(fault)
    expect(await read()).toEqual({ rollouts: [] })
  })

  test('of a region that does not exist starts none', async () => {
    const answer = await post('/v1/rollouts', { version: '2', images: { 'fake/a': 'x', 'fake/z': 'x' } })
    expect([answer.statusCode, answer.json()]).toEqual([
      404,
      expect.objectContaining({ detail: 'there is no region "fake/z"; there are fake/a, fake/b' }),
    ])
    expect(await read()).toEqual({ rollouts: [] })
  })
})

describe('a person’s word', () => {
  let id: string
  beforeEach(async () => {
    const images = { 'fake/a': 'ami-3', 'fake/b': 'ami-3' }
    const [first] = await start({ version: '2.0.0', images })
    id = first?.image.id ?? ''
    fixture.fleet.wakes.length = 0
  })

  test('is stored, bears who said it, wakes the group, and may be said again', async () => {
    const headers = await bearer({ sub: 'ann', role: 'operator' })
    const say = async (wish: string) =>
      (await app.inject({ method: 'POST', url: `/v1/rollouts/${id}/${wish}`, headers })).json<ShownRollout>()
    expect(await say('pause')).toMatchObject({
      paused: true,
      waits_for: 'a person to resume it',
      deadline: null,
    })
    expect(fixture.fleet.wakes).toEqual(['fake/a api', 'fake/b api'])
    expect(await say('pause')).toMatchObject({ paused: true })
    expect(await say('resume')).toMatchObject({ paused: false })
    expect(await say('switch')).toMatchObject({ switch_wanted: true })
    const other = await read('?region=fake/b')
    expect(other.rollouts[0]).toMatchObject({ switch_wanted: true })
    for (let time = 0; time < 2; time += 1) {
      expect(await say('rollback')).toMatchObject({
        rollback_wanted: 'asked for by ann',
        waits_for: 'the next turn of its region, which takes it back',
      })
    }
  })

  test('that comes too late is a conflict that names the state; of none that there is, not found', async () => {
    await start({ version: '3.0.0', images: { 'fake/a': 'ami-4' } })
    const late = await post(`/v1/rollouts/${id}/switch`)
    expect([late.statusCode, late.json()]).toEqual([
      409,
      expect.objectContaining({ detail: `roll-out ${id} is ROLLING_BACK: it is past switch` }),
    ])
    for (const wish of ['pause', 'resume', 'switch', 'rollback']) {
      for (const none of ['none', '%00', '..%2Fx']) {
        expect((await post(`/v1/rollouts/${none}/${wish}`)).statusCode).toBe(404)
      }
      const withBody = await post(`/v1/rollouts/${id}/${wish}`, { now: true })
      expect(withBody.statusCode).toBe(400)
    }
    for (const query of ['/none', '/%00']) {
      expect((await app.inject({ url: `/v1/rollouts${query}`, headers: asAdmin })).statusCode).toBe(404)
    }
    for (const query of ['limit=0', 'limit=x', 'state=DONE', 'region=']) {
      expect((await app.inject({ url: `/v1/rollouts?${query}`, headers: asAdmin })).statusCode).toBe(400)
    }
  })
})

test('regions and metrics tell of the roll-outs that are not over', async () => {
  const now = fixture.fleet.clock.now()
  const overdue = aRollout({ state: 'CANARY', stateSince: now - 9_000_000 })
  const behind = aRollout({ id: 'image-1', state: 'DRAINING' })
  const view = {
    ...fixture.fleet.view,
    snapshot: (id: string) =>
      aSnapshot({ region: { id }, rollouts: id === 'fake/a' ? [behind, overdue] : [] }),
  }
  const told = await createApi({ ...fixture.options, view })
  const get = (url: string) => told.app.inject({ url, headers: asAdmin })
  expect((await get('/v1/regions')).json<{ regions: { rollout: unknown }[] }>().regions).toMatchObject([
    { id: 'fake/a', rollout: { id: 'image-3', version: '3.0.0', state: 'CANARY', paused: false } },
    { id: 'fake/b', rollout: null },
  ])
  const { body } = await get('/metrics')
  for (const line of [
    'muster_rollouts{region="fake/a",state="CANARY"} 1',
    'muster_rollouts{region="fake/a",state="DRAINING"} 1',
    'muster_rollouts{region="fake/b",state="CANARY"} 0',
    'muster_rollouts_canary_overdue{region="fake/a"} 1',
    'muster_rollouts_canary_overdue{region="fake/b"} 0',
  ]) {
    expect(body).toContain(line)
  }
  expect(body).not.toContain('state="DONE"')
  await told.app.close()
})
