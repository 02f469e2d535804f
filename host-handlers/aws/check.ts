/** Whether a region could launch, asked of EC2 itself without launching anything; every answer in plain words. */
import {
  CreateLaunchTemplateCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2'

import { LaunchError } from '../../src/model/host-handler.ts'
import type { ProviderRegion } from '../../src/model/host-handler.ts'
import type { Machines } from './machines.ts'
import { parseRegionOptions } from './options.ts'
import type { Place } from './place.ts'
import { parseStoredRequest } from './request.ts'
import { userDataOf } from './user-data.ts'

export interface CheckMeans {
  readonly fleetId: string
  readonly daemons: readonly string[]
  /** Where machines find their metadata service. */
  readonly metadataEndpoint: string
  /** @throws LaunchError when the id names no AWS region */
  readonly at: (regionId: string) => { readonly place: Place; readonly machines: Machines }
}

/** What enrolment tokens and pins look like, for the size of the user data. */
const tokenLike = '0'.repeat(100)
const pinLike = `sha256/${'0'.repeat(43)}`

/** All faults that can be found without one another; empty when the region could launch now. */
export async function checkRegion(
  { fleetId, daemons, metadataEndpoint, at }: CheckMeans,
  region: ProviderRegion,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const faults = new Set<string>()
  const home = { daemons, metadataEndpoint }
  /** Gives undefined, and notes why, when it cannot be had. */
  const attempt = async <T>(work: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof LaunchError)) throw error
      faults.add(error.message)
      return undefined
    }
  }

  const place = await attempt(() => at(region.id))
  if (place === undefined) return [...faults]
  const seen = await attempt(async () => {
    for await (const machine of place.machines.list(region.id, signal)) return [machine.cloudId]
    return []
  })
  // Without credentials, or without an API server, all else would say the same.
  if (seen === undefined) return [...faults]
  await attempt(() => dryRun(() => dryTerminate(place.place, seen, signal)))
  const options = await attempt(() => parseRegionOptions(region))
  if (options === undefined) return [...faults]
  const offerings = await attempt(() => place.place.offerings(region, signal))
  for (const fault of (await attempt(() => place.place.networkFaults(options, signal))) ?? [])
    faults.add(fault)
  const { image } = region
  if (image === undefined) faults.add(`region ${region.id} has no ACTIVE image: nothing is launched`)
  else if ((await attempt(() => place.place.image(image, signal))) !== undefined) {
    for (const offering of offerings?.slice(0, 1) ?? []) {
      const wish = {
        fleetId,
        regionId: region.id,
        launchId: 'check-config',
        enrolmentToken: tokenLike,
        caPins: [pinLike],
        image,
        version: 'check-config',
        count: 1,
        instanceTypes: [offering.instanceType],
        agentsPerHost: offering.agents,
        offering,
      }
      await attempt(() =>
        dryRun(async () => {
          const request = parseStoredRequest(await place.place.resolve(wish, region, home, signal))
          const UserData = userDataOf(request.bootstrap, tokenLike).base64
          if (request.call === 'RunInstances') {
            const command = new RunInstancesCommand({ ...request.input, UserData, DryRun: true })
            await place.place.ec2.send('run', command, signal)
          } else {
            // A fleet cannot be tried before its template is there.
            const command = new CreateLaunchTemplateCommand({
              LaunchTemplateName: 'muster-check-config',
              LaunchTemplateData: { ...request.template, UserData },
              DryRun: true,
            })
            await place.place.ec2.send('write', command, signal)
          }
        }),
      )
    }
  }
  return [...faults]
}

/** Permission to end machines can be tried on one that exists only. */
async function dryTerminate(place: Place, ids: readonly string[], signal: AbortSignal): Promise<void> {
  if (ids.length === 0) return
  await place.ec2.send(
    'write',
    new TerminateInstancesCommand({ InstanceIds: [...ids], DryRun: true }),
    signal,
  )
}

/** EC2 answers a dry run that would have gone through with an error of its own. */
async function dryRun(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof LaunchError) || error.providerCode !== 'DryRunOperation') throw error
  }
}
