/**
 * Whether regions could launch, asked of their providers without launching anything: `check-config --live`. The only
 * place that looks up the names of the way home.
 */
import { lookup } from 'node:dns/promises'

import type { Environment } from '../../config/environment.ts'
import type { Config } from '../../config/load.ts'
import { examineWayHome, namesOf } from '../../config/way-home.ts'
import { systemClock } from '../lib/clock.ts'
import { noFaults } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import { MusterError } from '../model/errors.ts'
import type { HostHandler, ProviderRegion } from '../model/host-handler.ts'
import { offeringText, openBlocks } from '../model/offering.ts'
import type { RegionRows } from '../store/fleet-store.ts'
import { createProviders } from '../wiring/providers.ts'
import { openForReading } from '../wiring/reading.ts'

export interface CheckedRegion {
  readonly id: string
  readonly provider: string
  readonly enabled: boolean
  /** What keeps it from launching; none: it could launch now. */
  readonly faults: readonly string[]
  /** What need not be wrong, and often is. */
  readonly hints: readonly string[]
  /** In order of preference; empty where the provider has one kind of machine, or it could not be asked. */
  readonly offerings: readonly { readonly offering: string; readonly agents: number }[]
}

/** How long one region may take, in milliseconds. */
const patienceMs = 120_000

/** @throws MusterError when the database cannot be read, or there is no such region */
export async function checkRegions(
  config: Config,
  environment: Environment,
  only: readonly string[],
  logger: Logger,
): Promise<readonly CheckedRegion[]> {
  const reading = await openForReading(config, logger)
  const { store } = reading
  try {
    const [fleetId, known] = [await store.fleetId(), await store.readRegionIds()]
    const missing = only.filter((id) => !known.includes(id))
    if (missing.length > 0) {
      const words = `there is no region ${missing.join(', ')}; there ${known.length === 0 ? 'is none' : `are ${known.join(', ')}`}`
      throw new MusterError('invalid-request', words)
    }
    const checked: CheckedRegion[] = []
    for (const id of only.length > 0 ? only : known) {
      const rows = await store.readRegion(id)
      if (rows === undefined) continue
      process.stderr.write(`… ${id}\n`)
      const handlerOf = createProviders({
        ...{ config, environment, clock: systemClock, fault: noFaults },
        fleetId: () => fleetId,
        providerOf: () => rows.region.provider,
        daemonAddresses: () =>
          config.settings.MUSTER_MANAGER_ADVERTISE ?? [`127.0.0.1:${config.settings.MUSTER_MANAGER_PORT}`],
      })
      checked.push(await checkRegion(config, rows, () => handlerOf(id), AbortSignal.timeout(patienceMs)))
    }
    return checked
  } finally {
    await reading.close()
  }
}

/** `look` says whether a name has an address; it throws when it has none. */
export async function checkRegion(
  { settings }: Pick<Config, 'settings'>,
  rows: Pick<RegionRows, 'region' | 'images' | 'blocked_offerings'>,
  handlerOf: () => Promise<HostHandler>,
  signal: AbortSignal,
  look: (name: string) => Promise<unknown> = lookup,
): Promise<CheckedRegion> {
  const { id, provider, enabled } = rows.region
  const faults: string[] = []
  const hints = enabled ? [] : ['the region is not enabled: nothing is launched until it is']
  let offerings: CheckedRegion['offerings'] = []
  const handler = await attempt(handlerOf, faults)
  if (handler !== undefined) {
    if (handler.machinesAreElsewhere === true) {
      const wayHome = examineWayHome(settings)
      faults.push(...wayHome.faults)
      hints.push(...wayHome.hints, ...(await unknownNames(settings.MUSTER_MANAGER_ADVERTISE ?? [], look)))
    }
    const region = providerRegion(rows)
    if (region.image === undefined) faults.push(`region ${id} has no ACTIVE image: nothing is launched`)
    faults.push(...((await attempt(async () => handler.check?.(region, signal), faults)) ?? []))
    // What it says when it cannot be told stands among the faults already.
    const found = await attempt(async () => handler.offerings?.(region, signal), [])
    offerings = (found ?? []).map((one) => ({ offering: offeringText(one), agents: one.agents }))
    if (handler.check === undefined) hints.push(`provider ${provider} has no checks of its own`)
  }
  for (const block of openBlocks({ blockedOfferings: rows.blocked_offerings, now: Date.now() })) {
    hints.push(
      `${offeringText(block)} is not asked for until ${new Date(block.until).toISOString()}: ${block.code}: ${block.reason}`,
    )
  }
  return { id, provider, enabled, faults: [...new Set(faults)], hints, offerings }
}

async function attempt<T>(work: () => Promise<T>, faults: string[]): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error))
    return undefined
  }
}

async function unknownNames(
  addresses: readonly string[],
  look: (name: string) => Promise<unknown>,
): Promise<readonly string[]> {
  const answers = await Promise.all(
    namesOf(addresses).map(async (name) => {
      const isKnown = await look(name).then(
        () => true,
        () => false,
      )
      return isKnown ? [] : [`MUSTER_MANAGER_ADVERTISE: ${name} has no address, as seen from here`]
    }),
  )
  return answers.flat()
}

function providerRegion({ region, images }: Pick<RegionRows, 'region' | 'images'>): ProviderRegion {
  const { id, instanceTypes, agentsPerHostGiven: agentsPerHost, providerOptions } = region
  const image = images.find(({ status }) => status === 'ACTIVE')?.imageId
  return { id, instanceTypes, agentsPerHost, providerOptions, image }
}

/** Sentences by region, those that could launch too. */
export function checkedText(regions: readonly CheckedRegion[]): string {
  if (regions.length === 0) return 'there are no regions to check\n'
  return regions
    .map(({ id, provider, faults, hints, offerings }) => {
      const state = faults.length === 0 ? 'could launch now' : 'cannot launch'
      const [first] = offerings
      const offered =
        first === undefined
          ? []
          : [`offers: ${offerings.length}, from ${first.offering} (${agentsText(offerings)} a host)`]
      return [
        `region ${id} (${provider}): ${state}`,
        ...faults.map((fault) => `  fault: ${fault}`),
        ...hints.map((hint) => `  hint: ${hint}`),
        ...offered.map((line) => `  ${line}`),
      ].join('\n')
    })
    .join('\n')
    .concat('\n')
}

function agentsText(offerings: CheckedRegion['offerings']): string {
  const counts = offerings.map(({ agents }) => agents)
  const [least, most] = [Math.min(...counts), Math.max(...counts)]
  return least === most ? `${least} agents` : `${least} to ${most} agents`
}
