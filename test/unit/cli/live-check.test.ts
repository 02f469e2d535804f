import { expect, it } from 'vitest'

import { settings } from '../../../config/schema.ts'
import { checkedText, checkRegion } from '../../../src/cli/live-check.ts'
import type { Settings } from '../../../config/schema.ts'
import type { HostHandler } from '../../../src/model/host-handler.ts'
import { aBlock, anImage, aRegion } from '../../support/factories.ts'
import { patient } from '../../support/small-fleet.ts'

const defaults = Object.fromEntries(
  Object.entries(settings).map(([name, { schema }]) => [name, schema.parse(undefined)]),
) as unknown as Settings
const handler: HostHandler = {
  machinesAreElsewhere: true,
  launch: () => Promise.reject(new Error('nobody launches')),
  async *list() {
    // Nobody looks.
  },
  terminate: async () => new Map(),
  offerings: async () =>
    [2, 7].map((agents) => ({ instanceType: `m${agents}`, zone: 'a', lifecycle: 'spot', agents })),
  check: async ({ image }) => (image === undefined ? ['no image'] : []),
}
const rows = (enabled = true) => ({
  region: aRegion({ enabled }),
  images: [anImage()],
  blocked_offerings: [],
})
const advertising = (...addresses: string[]) => ({
  settings: { ...defaults, MUSTER_MANAGER_HOST: '0.0.0.0', MUSTER_MANAGER_ADVERTISE: addresses },
})

it('a region that could launch is told with what it offers', async () => {
  const found = async () => 'an address'
  const config = advertising('muster.example.com:7011')
  const checked = await checkRegion(config, rows(), async () => handler, patient, found)
  expect(checkedText([checked])).toBe(
    'region test/one (test): could launch now\n  offers: 2, from m2 a spot (2 to 7 agents a host)\n',
  )
  expect(checkedText([])).toBe('there are no regions to check\n')
})

it('a way home whose name nobody knows here is hinted at, and so is what is switched off or blocked', async () => {
  const asked: string[] = []
  const unknown = async (name: string) => {
    asked.push(name)
    throw new Error('ENOTFOUND')
  }
  const blocked = { ...rows(false), blocked_offerings: [aBlock({ until: Date.now() + 60_000 })] }
  const config = advertising('muster.example.com:7011', '198.51.100.7:7011')
  const { faults, hints } = await checkRegion(config, blocked, async () => handler, patient, unknown)
  expect([faults, asked]).toEqual([[], ['muster.example.com']])
  expect(hints).toEqual([
    expect.stringContaining('not enabled'),
    'MUSTER_MANAGER_ADVERTISE: muster.example.com has no address, as seen from here',
    expect.stringContaining('small a on-demand is not asked for until'),
  ])
})

it('faults of provider, settings and rows come together', async () => {
  const withoutImage = { ...rows(), images: [] }
  const { faults } = await checkRegion({ settings: defaults }, withoutImage, async () => handler, patient)
  expect(faults).toEqual([
    expect.stringContaining('set MUSTER_MANAGER_ADVERTISE'),
    'region test/one has no ACTIVE image: nothing is launched',
    'no image',
  ])
  const unloaded = await checkRegion(
    advertising(),
    rows(),
    () => Promise.reject(new Error('there is no provider "nowhere"')),
    patient,
  )
  expect(checkedText([unloaded])).toContain('cannot launch\n  fault: there is no provider "nowhere"\n')
})
