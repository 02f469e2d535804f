import { LaunchError } from '../../src/model/host-handler.ts'
import type { LaunchErrorCode } from '../../src/model/host-handler.ts'

export function refusal(code: LaunchErrorCode): LaunchError {
  return new LaunchError(code, `the fake cloud was told to answer ${code}`)
}

export function lostReply(): LaunchError {
  return new LaunchError('unknown', 'the fake cloud did what was asked, and its answer was lost')
}
