/**
 * What every provider must keep, as tests: the reconciler depends on each of these. Exported from the package as
 * `muster/testing`, so that a provider of your own can be held to it (docs/writing-a-host-handler.md).
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { launchErrorCodes } from '../../src/model/host-handler.ts'
import type {
  CloudHost,
  HostHandler,
  LaunchErrorCode,
  LaunchResult,
  LaunchSpec,
  ProviderRegion,
} from '../../src/model/host-handler.ts'
import { eventually } from '../support/eventually.ts'

/** What a handler's test provides for each test of the suite. */
export interface HandlerUnderTest {
  /** A door of this fleet to the provider; each call is as a restarted daemon would make it. */
  readonly open: (fleetId: string) => HostHandler
  /** Machines that really exist, of all fleets, whatever the handler says. */
  readonly countMachines: () => Promise<number>
  readonly close: () => Promise<void>
  /** Where machines are launched. Default: `test/here`, one type `small`, one agent a host, no options. */
  readonly region?: Partial<ProviderRegion>
  /** The id of another region of the provider, where nothing is launched. Default: `test/elsewhere`. */
  readonly elsewhere?: string
  /** Options of a region with at least two faults, and a word of each that the refusal must name. */
  readonly badOptions?: { readonly providerOptions: unknown; readonly named: readonly string[] }
  /** The next launch is refused for certain; gives the kind of the refusal. */
  readonly refuseNext?: () => LaunchErrorCode
  /** The next launch is carried out, and its answer is lost. */
  readonly loseNextAnswer?: () => void
  /** The next launch gives this many machines, fewer than it is asked for. */
  readonly givePartNext?: (machines: number) => void
}

const never = new AbortController().signal

export function aLaunchSpec(overrides: Partial<LaunchSpec> = {}): LaunchSpec {
  return {
    fleetId: 'fleet-1',
    regionId: 'test/here',
    launchId: randomUUID(),
    token: randomBytes(32).toString('hex'),
    enrolmentToken: randomBytes(32).toString('hex'),
    caPins: [`sha256/${randomBytes(32).toString('base64url')}`],
    image: 'image-1',
    version: 'demo',
    count: 2,
    instanceTypes: ['small'],
    agentsPerHost: 1,
    ...overrides,
  }
}

export async function listHosts(handler: HostHandler, regionId = 'test/here'): Promise<readonly CloudHost[]> {
  const hosts: CloudHost[] = []
  for await (const host of handler.list(regionId, never)) hosts.push(host)
  return hosts
}

/** As the executor of terminations does: until every machine is gone. */
export async function terminateAll(
  handler: HostHandler,
  cloudIds: readonly string[],
  regionId = 'test/here',
): Promise<void> {
  await eventually(
    async () => {
      const answers = await handler.terminate(cloudIds, never, regionId)
      return cloudIds.every((cloudId) => answers.get(cloudId) === 'gone')
    },
    { everyMs: 50, what: 'all machines gone' },
  )
}

/** A launch as the executor makes it: the first offering, its exact request as it comes back from a jsonb column. */
export async function prepareLaunch(
  handler: HostHandler,
  region: ProviderRegion,
  overrides: Partial<LaunchSpec> = {},
): Promise<LaunchSpec> {
  const spec = aLaunchSpec({
    regionId: region.id,
    image: region.image ?? 'image-1',
    instanceTypes: region.instanceTypes,
    agentsPerHost: region.agentsPerHost ?? 1,
    attempt: 1,
    ...overrides,
  })
  const offering = overrides.offering ?? (await handler.offerings?.(region, never))?.[0]
  const { token: _, ...wish } = offering === undefined ? spec : { ...spec, offering }
  const request = await handler.resolve?.(wish, region, never)
  return {
    ...spec,
    ...(offering === undefined ? {} : { offering }),
    ...(request === undefined ? {} : { request: structuredClone(request) }),
  }
}

export function describeHandlerContract(name: string, create: () => Promise<HandlerUnderTest>): void {
  describe(`the host handler contract: ${name}`, () => {
    let provider: HandlerUnderTest
    let handler: HostHandler
    let region: ProviderRegion

    beforeEach(async () => {
      provider = await create()
      handler = provider.open('fleet-1')
      region = {
        id: 'test/here',
        instanceTypes: ['small'],
        agentsPerHost: 1,
        providerOptions: {},
        image: 'image-1',
        ...provider.region,
      }
    })
    afterEach(async () => provider.close())

    const prepare = (overrides: Partial<LaunchSpec> = {}) => prepareLaunch(handler, region, overrides)
    const launch = async (overrides: Partial<LaunchSpec> = {}): Promise<LaunchResult> =>
      handler.launch(await prepare(overrides), never)
    const listed = () => listHosts(handler, region.id)

    it('launches as many machines as asked for and lists them with their launch', async () => {
      const before = Date.now()
      const spec = await prepare({ count: 3 })
      const { cloudIds, shortfall } = await handler.launch(spec, never)
      expect(shortfall).toBeUndefined()
      expect(new Set(cloudIds).size).toBe(3)
      const hosts = await listed()
      expect(hosts.map((host) => host.cloudId).sort()).toEqual([...cloudIds].sort())
      for (const host of hosts) {
        expect(host).toMatchObject({ launchId: spec.launchId, fleetId: 'fleet-1' })
        expect(host.startedAt).toBeGreaterThanOrEqual(before - 1000)
        expect(host.startedAt).toBeLessThanOrEqual(Date.now() + 1000)
      }
    })

    it('labels its own machines, and no others, where it can label at all', async () => {
      const { cloudIds } = await launch({ count: 2 })
      const [marked = '', plain = ''] = cloudIds
      expect((await listed()).map(({ label }) => label)).toEqual([undefined, undefined])
      await handler.label?.(new Map([[marked, 'h-1']]), region.id, never)
      const labels = new Map((await listed()).map(({ cloudId, label }) => [cloudId, label]))
      expect([labels.get(marked), labels.get(plain)]).toEqual([handler.label && 'h-1', undefined])
    })

    it('gives the same machines for the same token, also to a restarted daemon', async () => {
      const spec = await prepare()
      const first = await handler.launch(spec, never)
      const second = await provider.open('fleet-1').launch(spec, never)
      expect(second.cloudIds).toEqual(first.cloudIds)
      expect(await listed()).toHaveLength(2)
      await eventually(async () => (await provider.countMachines()) === 2)
    })

    it('doubles nothing when the same launch runs twice at once', async () => {
      const spec = await prepare()
      const other = provider.open('fleet-1')
      const answers = await Promise.all([handler.launch(spec, never), other.launch(spec, never)])
      expect(answers[0].cloudIds).toEqual(answers[1].cloudIds)
      await eventually(async () => (await provider.countMachines()) === 2)
    })

    it('gives other machines for another token', async () => {
      const first = await launch({ count: 1 })
      const second = await launch({ count: 1 })
      expect(second.cloudIds).not.toEqual(first.cloudIds)
      expect(await listed()).toHaveLength(2)
    })

    it('shows neither other regions nor other fleets, and ends nothing of another fleet', async () => {
      const { cloudIds } = await launch({ count: 1 })
      expect(await listHosts(handler, provider.elsewhere ?? 'test/elsewhere')).toEqual([])
      const stranger = provider.open('fleet-2')
      expect(await listHosts(stranger, region.id)).toEqual([])
      await terminateAll(stranger, cloudIds, region.id)
      expect(await listed()).toHaveLength(1)
      expect(await provider.countMachines()).toBe(1)
    })

    it('ends machines: accepted, then gone, and gone again whenever asked', async () => {
      const { cloudIds } = await launch()
      const [ended = '', kept = ''] = cloudIds
      const first = await handler.terminate([ended], never, region.id)
      expect([...first]).toEqual([[ended, 'accepted']])
      await terminateAll(handler, [ended], region.id)
      expect((await listed()).map((host) => host.cloudId)).toEqual([kept])
      expect(await provider.countMachines()).toBe(1)
      await terminateAll(provider.open('fleet-1'), [ended, 'never-was'], region.id)
      expect(await provider.countMachines()).toBe(1)
    })

    it('answers for each machine it was asked to end, and for none when there are none', async () => {
      const { cloudIds } = await launch()
      const answers = await handler.terminate([...cloudIds, 'never-was'], never, region.id)
      expect([...answers.keys()].sort()).toEqual([...cloudIds, 'never-was'].sort())
      expect([...(await handler.terminate([], never, region.id))]).toEqual([])
    })

    it('does not bring ended machines back for a late repeat of their launch', async () => {
      const spec = await prepare()
      const { cloudIds } = await handler.launch(spec, never)
      await terminateAll(handler, cloudIds, region.id)
      await provider.open('fleet-1').launch(spec, never)
      expect(await provider.countMachines()).toBe(0)
      expect(await listed()).toEqual([])
    })

    it('heeds an aborted signal', async () => {
      const spec = await prepare()
      const signal = AbortSignal.abort(new Error('stopping'))
      await expect(handler.launch(spec, signal)).rejects.toThrow('stopping')
      await expect(handler.terminate(['x'], signal, region.id)).rejects.toThrow('stopping')
      expect(await provider.countMachines()).toBe(0)
    })

    it('offers what it has in an order that stays, each once, and resolves each to a request without secrets', async () => {
      const offerings = await handler.offerings?.(region, never)
      if (offerings === undefined) return
      expect(offerings.length).toBeGreaterThan(0)
      expect(await provider.open('fleet-1').offerings?.(region, never)).toEqual(offerings)
      const names = offerings.map(
        ({ instanceType, zone, lifecycle }) => `${instanceType} ${zone} ${lifecycle}`,
      )
      expect(new Set(names).size).toBe(names.length)
      for (const offering of offerings) expect(offering.agents).toBeGreaterThan(0)
      const launchId = randomUUID()
      const enrolmentToken = randomBytes(32).toString('hex')
      const same = { offering: offerings[0]!, launchId, enrolmentToken, caPins: [`sha256/${'A'.repeat(43)}`] }
      const { request } = await prepare(same)
      expect(JSON.parse(JSON.stringify(request ?? {}))).toEqual(request ?? {})
      expect(JSON.stringify(request ?? {})).not.toContain(enrolmentToken)
      expect((await prepare(same)).request).toEqual(request)
      expect(await provider.countMachines()).toBe(0)
    })

    it('names all faults of a region together, and launches nothing', async () => {
      const { badOptions } = provider
      if (badOptions === undefined) return
      const bad = { ...region, providerOptions: badOptions.providerOptions }
      const failure: unknown = await prepareLaunch(handler, bad).catch((error: unknown) => error)
      expect(failure).toMatchObject({ name: 'LaunchError', code: 'invalid-request' })
      for (const word of badOptions.named) expect((failure as Error).message).toContain(word)
      expect(await provider.countMachines()).toBe(0)
    })

    it('says of which kind a refusal is, and has carried nothing out', async () => {
      const spec = await prepare()
      const code = provider.refuseNext?.()
      if (code === undefined) return
      expect(launchErrorCodes).toContain(code)
      await expect(handler.launch(spec, never)).rejects.toMatchObject({ name: 'LaunchError', code })
      expect(await provider.countMachines()).toBe(0)
    })

    it('calls a lost answer unknown, and finds the machines when asked again', async () => {
      const spec = await prepare()
      if (provider.loseNextAnswer === undefined) return
      provider.loseNextAnswer()
      await expect(handler.launch(spec, never)).rejects.toMatchObject({
        name: 'LaunchError',
        code: 'unknown',
      })
      expect(await provider.countMachines()).toBe(2)
      const again = await provider.open('fleet-1').launch({ ...spec, isRepeat: true }, never)
      expect(again.cloudIds).toHaveLength(2)
      expect(await provider.countMachines()).toBe(2)
    })

    it('takes fewer machines than asked for as a result, with a reason', async () => {
      const spec = await prepare({ count: 3 })
      if (provider.givePartNext === undefined) return
      provider.givePartNext(1)
      const { cloudIds, shortfall } = await handler.launch(spec, never)
      expect(cloudIds).toHaveLength(1)
      expect(launchErrorCodes).toContain(shortfall?.code)
      expect(await provider.countMachines()).toBe(1)
    })
  })
}
