/** The port that managers dial. */
import type { Server } from 'node:net'

import { MusterError } from '../model/errors.ts'

/** @throws MusterError `port-in-use` */
export function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(unusablePort(port, host, error))
    server.once('error', failed)
    server.listen({ port, host, backlog: 511 }, () => {
      server.off('error', failed)
      // An accept that fails (no file descriptors) is the next one's chance.
      server.on('error', () => undefined)
      resolve()
    })
  })
}

function unusablePort(port: number, host: string, cause: Error): MusterError {
  return new MusterError(
    'port-in-use',
    `port ${port} on ${host} cannot be opened for managers: ${cause.message}; set MUSTER_MANAGER_PORT or MUSTER_MANAGER_HOST to another`,
    { cause, retryable: true },
  )
}
