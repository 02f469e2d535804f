/** One `CreateFleet` of type `instant`: it is over with its answer, whole, partial or empty. */
import { CreateFleetCommand } from '@aws-sdk/client-ec2'
import type { CreateFleetError } from '@aws-sdk/client-ec2'

import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchErrorCode } from '../../src/model/host-handler.ts'
import type { Ec2 } from './client.ts'
import { kindOf, unlistedAttempts } from './errors.ts'
import type { LaunchTemplates } from './launch-templates.ts'
import type { StoredFleet } from './request.ts'

/** Of the launch with this idempotency token. */
export const templateNameOf = (token: string): string => `muster-${token}`

/**
 * Gives the machines, sorted, and why there are not more.
 *
 * @throws LaunchError; when there is no machine, of the kind that the fleet's errors are
 */
export async function createFleet(
  { ec2, templates }: { readonly ec2: Ec2; readonly templates: LaunchTemplates },
  request: StoredFleet,
  {
    token,
    userData,
    isRepeat,
  }: { readonly token: string; readonly userData: string; readonly isRepeat: boolean },
  signal: AbortSignal,
): Promise<{ readonly ids: readonly string[]; readonly why: string | undefined }> {
  const name = templateNameOf(token)
  const tags = request.input.TagSpecifications?.[0]?.Tags ?? []
  try {
    await templates.ensure(name, { ...request.template, UserData: userData }, tags, signal)
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error
    const { code, message, providerCode } = error
    // No fleet was asked for now; but an earlier one may have been made, and only its repeat can tell.
    if (isRepeat) throw new LaunchError('unknown', message, { cause: error })
    if (code !== 'unknown') throw error
    throw new LaunchError('transient', message, { cause: error, ...(providerCode && { providerCode }) })
  }
  const LaunchTemplateSpecification = { LaunchTemplateName: name, Version: '1' }
  const output = await ec2.send(
    'run',
    new CreateFleetCommand({
      ...request.input,
      LaunchTemplateConfigs: [{ LaunchTemplateSpecification, Overrides: [...request.overrides] }],
      ClientToken: token,
    }),
    signal,
  )
  const ids = (output.Instances ?? []).flatMap((one) => one.InstanceIds ?? []).toSorted()
  const errors = output.Errors ?? []
  if (ids.length > 0) return { ids, why: errors.length === 0 ? undefined : inWords(errors) }
  if (output.FleetId === undefined) {
    throw new LaunchError('unknown', 'EC2 accepted the launch and named no machines')
  }
  throw emptyFleet(errors)
}

/** Another lifecycle may have some when one of the places has just none left; otherwise what the first one says. */
function emptyFleet(errors: readonly CreateFleetError[]): LaunchError {
  const kinds = errors.map(({ ErrorCode = '' }) => kindOf(ErrorCode))
  const isOut = errors.length === 0 || kinds.includes('insufficient-capacity')
  const kind: LaunchErrorCode = isOut ? 'insufficient-capacity' : (kinds[0] ?? 'transient')
  const providerCode = errors[0]?.ErrorCode
  const isUnlisted = !isOut && kinds[0] === undefined
  return new LaunchError(kind, `EC2 gave none of the fleet: ${inWords(errors)}`, {
    ...(providerCode === undefined ? {} : { providerCode }),
    ...(isUnlisted ? { attemptsAtMost: unlistedAttempts } : {}),
  })
}

/** Each code once; there may be one for each type and zone. */
function inWords(errors: readonly CreateFleetError[]): string {
  const said = new Map(
    errors.map(({ ErrorCode = 'no code', ErrorMessage = '' }) => [ErrorCode, ErrorMessage]),
  )
  return Array.from(said, ([code, message]) => `${code}: ${message}`).join('; ') || 'it does not say why'
}
