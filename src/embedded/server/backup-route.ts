/** `POST /v1/muster/backup`, for the administrator: the embedded database as one file, while it is served. */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'

import { MusterError } from '../../model/errors.ts'
import { HasuraError } from '../execution/hasura-error.ts'
import { adminRole } from '../execution/session.ts'
import type { Authenticate } from './authentication.ts'

export const backupPath = '/v1/muster/backup'

/** @throws HasuraError `access-denied`, `not-supported` */
export type BackUp = (request: IncomingMessage) => Promise<Readable>

/** `pack` gives a backup's bytes. @throws see `packBackup` */
export function createBackupRoute(authenticate: Authenticate, pack: () => Promise<Readable>): BackUp {
  return async (request) => {
    const session = await authenticate(request.headers)
    if (session.role !== adminRole) {
      throw new HasuraError('access-denied', 'restricted access : admin only')
    }
    try {
      return await pack()
    } catch (error) {
      if (error instanceof MusterError) throw new HasuraError('not-supported', error.message, '$', error)
      throw error
    }
  }
}
