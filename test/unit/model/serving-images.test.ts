import { describe, expect, test } from 'vitest'

import type { HostStatus } from '../../../src/model/host.ts'
import { servingImages } from '../../../src/model/serving-images.ts'
import type { RegionSnapshot } from '../../../src/model/snapshot.ts'
import { rolloutStates } from '../../../src/model/rollout.ts'
import { aHost, anImage, aRollout, aSnapshot } from '../../support/factories.ts'

const active = anImage({ id: 'active' })
const candidate = anImage({ id: 'candidate', status: 'CANDIDATE' })
const old = anImage({ id: 'old', status: 'RETIRED' })
const toCandidate = { id: 'candidate', fromImage: 'active' } as const

const served = (changes: Parameters<typeof aSnapshot>[0]): readonly string[] =>
  servingImages(aSnapshot({ activeImage: active, ...changes })).map(({ id }) => id)

test('the ACTIVE image serves, with hosts or without', () => {
  expect(served({ images: [active] })).toEqual(['active'])
  expect(served({ images: [active, candidate, old] })).toEqual(['active'])
})

test('nothing serves where there is nothing', () => {
  expect(served({ images: [], activeImage: undefined })).toEqual([])
})

test.each(rolloutStates.filter((state) => state !== 'DONE' && state !== 'ROLLED_BACK'))(
  'a candidate whose roll-out is %s',
  (state) => {
    const rollouts = [aRollout({ ...toCandidate, state })]
    const serves = state === 'READY' || state === 'CANARY' || state === 'SWITCHED'
    expect(served({ images: [active, candidate], rollouts })).toEqual(
      serves ? ['active', 'candidate'] : ['active'],
    )
  },
)

test.each<[HostStatus, boolean]>([
  ['LAUNCHING', true],
  ['PRE_CONNECTION', true],
  ['ACTIVE', true],
  ['UNRESPONSIVE', true],
  ['DRAINING', false],
  ['TERMINATING', false],
])('a RETIRED image whose last host is %s serves: %s', (status, serves) => {
  const hosts = [aHost({ status, imageId: 'old' }), aHost({ id: 'h2', imageId: 'active' })]
  expect(served({ images: [active, old], hosts })).toEqual(serves ? ['active', 'old'] : ['active'])
})

test('a host that went silent while it drained stays fenced', () => {
  const hosts = [aHost({ status: 'UNRESPONSIVE', statusBefore: 'DRAINING', imageId: 'old' })]
  expect(served({ images: [active, old], hosts })).toEqual(['active'])
})

test('the image before a switch serves until its roll-out has baked, even without a host', () => {
  const rollout = aRollout({ id: 'active', fromImage: 'old', state: 'SWITCHED' })
  expect(served({ images: [active, old], rollouts: [rollout] })).toEqual(['active', 'old'])
  expect(served({ images: [active, old], rollouts: [{ ...rollout, state: 'DRAINING' }] })).toEqual(['active'])
})

test('ACTIVE first, then the candidate, then RETIRED ones, the newest first', () => {
  const [older, newer] = ['older', 'newer'].map((id, createdAt) =>
    anImage({ id, status: 'RETIRED', createdAt }),
  )
  const hosts = ['older', 'newer', 'old'].map((imageId) => aHost({ id: imageId, imageId }))
  const rollouts = [aRollout({ ...toCandidate, state: 'CANARY' })]
  const images = [older!, active, newer!, { ...old, createdAt: -1 }, { ...candidate, createdAt: -2 }]
  expect(served({ images, rollouts, hosts })).toEqual(['active', 'candidate', 'newer', 'older', 'old'])
})

describe('a switch that is half heard of takes no image away', () => {
  const ids = (changes: Partial<RegionSnapshot>) =>
    served({ ...changes, hosts: ['active', 'candidate'].map((id) => aHost({ id, imageId: id })) })
  const canary = [aRollout({ ...toCandidate, state: 'CANARY' })]

  test('when both images are ACTIVE', () => {
    const images = [active, { ...candidate, status: 'ACTIVE' } as const]
    expect(ids({ images, rollouts: canary })).toEqual(['active', 'candidate'])
  })

  test('when neither is', () => {
    const images = [{ ...active, status: 'RETIRED' } as const, candidate]
    expect(ids({ images, activeImage: undefined, rollouts: canary })).toEqual(['candidate', 'active'])
  })
})
