/**
 * EC2's error codes in the words of launches. What is refused was surely not carried out; what comes without a code of
 * EC2's (a reset, a time-out, an answer cut short) or with one of a server that stumbled, was perhaps.
 *
 * Source of the codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
 */
import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchErrorCode } from '../../src/model/host-handler.ts'

/** By kind. A code that ends with `.*` stands for all that begin so. */
export const ec2Codes = {
  /** None of this type, zone and lifecycle just now: another offering may have some. */
  'insufficient-capacity': [
    'InsufficientInstanceCapacity',
    'InsufficientHostCapacity',
    'InsufficientReservedInstanceCapacity',
    'InsufficientCapacityOnHost',
    'InsufficientCapacity',
    'InsufficientAddressCapacity',
    'InsufficientFreeAddressesInSubnet',
    'InsufficientVolumeCapacity',
    'SpotMaxPriceTooLow',
    'UnfulfillableCapacity',
    'UnsupportedOperation.InstanceTypeNotSupportedInZone',
    // Among others: this type is not offered in this zone.
    'Unsupported',
  ],
  /** The account may not have more; somebody has to ask AWS. */
  'quota-exceeded': [
    'VcpuLimitExceeded',
    'InstanceLimitExceeded',
    'MaxSpotInstanceCountExceeded',
    'MaxSpotFleetRequestCountExceeded',
    'MaxIOPSLimitExceeded',
    'VolumeLimitExceeded',
    'VolumeIOPSLimit',
    'NetworkInterfaceLimitExceeded',
    'PrivateIpAddressLimitExceeded',
    'AddressLimitExceeded',
    'ResourceCountExceeded',
    'FleetNotAllowed',
  ],
  throttled: [
    'RequestLimitExceeded',
    'Throttling',
    'ThrottlingException',
    'ThrottledException',
    'RequestThrottled',
    'RequestThrottledException',
    'SlowDown',
    'InstanceRequestLimitExceeded',
    'ResourceRequestLimitExceeded',
    'EC2ThrottledException',
    'BandwidthLimitExceeded',
    'TooManyRequestsException',
  ],
  unauthorized: [
    'UnauthorizedOperation',
    'AuthFailure',
    'AuthFailure.ServiceLinkedRoleCreationNotPermitted',
    'AccessDenied',
    'AccessDeniedException',
    'Blocked',
    'IncompleteSignature',
    'InvalidClientTokenId',
    'InvalidSecurity',
    'MissingAuthenticationToken',
    'OptInRequired',
    'PendingVerification',
    'SignatureDoesNotMatch',
    'UnrecognizedClientException',
    'ExpiredToken',
    'ExpiredTokenException',
    // A clock that is wrong.
    'RequestExpired',
    // Of the SDK, which found none.
    'CredentialsProviderError',
    'TokenProviderError',
  ],
  'invalid-request': [
    'InvalidAMIID.*',
    'InvalidAMIName.*',
    'InvalidSubnet',
    'InvalidSubnet.*',
    'InvalidSubnetID.*',
    'InvalidGroup.*',
    'InvalidGroupId.*',
    'InvalidGroupID.*',
    'InvalidSecurityGroupID.*',
    'InvalidSecurity.*',
    'InvalidKeyPair.*',
    'InvalidSnapshot.*',
    'InvalidVolume.*',
    'InvalidVpcID.*',
    'InvalidZone.*',
    'InvalidAvailabilityZone',
    'InvalidInstanceType',
    'InvalidInstanceID.*',
    'InvalidBlockDeviceMapping',
    'InvalidInterface.*',
    'InvalidKmsKey.*',
    'InvalidUserData',
    'InvalidUserData.*',
    'InvalidTagKey.*',
    'InvalidAction',
    'InvalidCharacter',
    'InvalidFilter',
    'InvalidID',
    'InvalidInput',
    'InvalidMaxResults',
    'InvalidParameter',
    'InvalidParameterCombination',
    'InvalidParameterDependency',
    'InvalidParameterValue',
    'InvalidQueryParameter',
    'InvalidRequest',
    'InvalidOptionConflict',
    'InvalidSpotPrice',
    'Invalid IAM Instance Profile Name',
    'InvalidIamInstanceProfile.*',
    'NoSuchEntity',
    'MalformedQueryString',
    'MissingAction',
    'MissingParameter',
    'UnknownParameter',
    'UnknownPrincipalType.*',
    'NoSuchVersion',
    'ValidationError',
    'VPCIdNotSpecified',
    'VPCResourceNotSpecified',
    'TagLimitExceeded',
    'TagPolicyViolation',
    'EncryptedVolumesNotSupported',
    'UnsupportedOperation',
    'UnsupportedInstanceAttribute',
    'UnsupportedTenancy',
    'UnsupportedHypervisor',
    'OperationNotPermitted',
    // One that was sent with this token went through: the handler looks for its machines before it believes this.
    'IdempotentParameterMismatch',
    'IdempotentInstanceTerminated',
  ],
  /** The server stumbled, perhaps after it had done what was asked. */
  unknown: [
    'InternalError',
    'InternalFailure',
    'InternalServiceException',
    'ServerInternal',
    'Server.InternalError',
    'Unavailable',
    'ServiceUnavailable',
    'ServiceUnavailableException',
    'RequestTimeout',
    'RequestTimeoutException',
  ],
  /** Refused before anything was done, and not for long. */
  transient: [
    'ConcurrentCreateRequest',
    'ConcurrentTagAccess',
    'DependencyViolation',
    'IncorrectState',
    'IncorrectInstanceState',
    'ClientVpnEndpointAssociationInProgress',
    // The launch's template was removed in between: it is made again.
    'InvalidLaunchTemplateName.NotFoundException',
    'InvalidLaunchTemplateId.NotFound',
  ],
} as const satisfies Readonly<Record<LaunchErrorCode, readonly string[]>>

/** Connections that never came about: nothing was asked. */
const neverConnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

const exact = new Map<string, LaunchErrorCode>()
const prefixes: (readonly [string, LaunchErrorCode])[] = []
for (const kind of Object.keys(ec2Codes) as LaunchErrorCode[]) {
  for (const code of ec2Codes[kind]) {
    if (code.endsWith('.*')) prefixes.push([code.slice(0, -1), kind])
    else exact.set(code, kind)
  }
}

/** Codes in no table: tried again this often in a row, then taken for a request that EC2 will never accept. */
export const unlistedAttempts = 3

/** Of EC2's own code; undefined when nobody has classified it. */
export function kindOf(code: string): LaunchErrorCode | undefined {
  return exact.get(code) ?? prefixes.find(([prefix]) => code.startsWith(prefix))?.[1]
}

/** What is thrown at us by the SDK, as far as it is known. */
interface SdkError {
  readonly name?: string
  readonly code?: unknown
  readonly message?: string
  readonly $metadata?: { readonly httpStatusCode?: number | undefined }
  readonly $response?: unknown
}

/** The code of an EC2 error; undefined for anything else. */
export function ec2CodeOf(error: unknown): string | undefined {
  if (error instanceof LaunchError) return error.providerCode
  const { name, $metadata } = (error ?? {}) as SdkError
  if (name === undefined) return undefined
  const isAnswer = $metadata?.httpStatusCode !== undefined && $metadata.httpStatusCode >= 300
  return isAnswer || exact.has(name) ? name : undefined
}

/** Whatever a call of `action` threw, as a launch error; an aborted call's own reason is not for this. */
export function launchErrorOf(cause: unknown, action: string): LaunchError {
  if (cause instanceof LaunchError) return cause
  const { code, message = '', $metadata } = (cause ?? {}) as SdkError
  const providerCode = ec2CodeOf(cause)
  const words = readable(message)
  if (providerCode === undefined) {
    const isRefused = typeof code === 'string' && neverConnected.has(code)
    const told = typeof code === 'string' && !words.includes(code) ? `${code}: ${words}` : words
    return isRefused
      ? new LaunchError('transient', `EC2 cannot be reached: ${told}`, { cause })
      : new LaunchError('unknown', `EC2 gave no whole answer to ${action}: ${told}`, { cause })
  }
  const told = `EC2 answers ${action} with ${providerCode}: ${words}`
  const kind = kindOf(providerCode)
  if (kind !== undefined) return new LaunchError(kind, told, { cause, providerCode })
  if (($metadata?.httpStatusCode ?? 400) >= 500)
    return new LaunchError('unknown', told, { cause, providerCode })
  return new LaunchError('transient', told, { cause, providerCode, attemptsAtMost: unlistedAttempts })
}

/** Refusals of IAM end with kilobytes in base64 that only `aws sts decode-authorization-message` can read. */
function readable(message: string): string {
  return message.replace(/\s*Encoded authorization failure message:.*$/s, '').trim()
}
