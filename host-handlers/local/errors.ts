import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchErrorCode } from '../../src/model/host-handler.ts'

/**
 * What the operating system says, in the words of launches. Everything that the local provider does before a process
 * runs can be seen and is done once only, so nothing here is ever `unknown`.
 */
const codes: Readonly<Record<string, LaunchErrorCode>> = {
  EAGAIN: 'quota-exceeded',
  EDQUOT: 'quota-exceeded',
  EMFILE: 'insufficient-capacity',
  ENFILE: 'insufficient-capacity',
  ENOMEM: 'insufficient-capacity',
  ENOSPC: 'insufficient-capacity',
  EACCES: 'unauthorized',
  EPERM: 'unauthorized',
  EROFS: 'unauthorized',
  ENOENT: 'invalid-request',
  ENOTDIR: 'invalid-request',
  ENAMETOOLONG: 'invalid-request',
  E2BIG: 'invalid-request',
}

export function launchErrorOf(cause: unknown): LaunchError {
  if (cause instanceof LaunchError) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  return new LaunchError(codes[code ?? ''] ?? 'transient', `cannot start a host: ${message}`, { cause })
}
