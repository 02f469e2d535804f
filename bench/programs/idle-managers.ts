/** Managers that say Hello and then nothing; or, for the baseline, TLS connections that say nothing at all. */
import { once } from 'node:events'
import { createSecureContext, connect as connectTls } from 'node:tls'

import { credentials } from '@grpc/grpc-js'

import { handshakeOf } from '../../src/manager/credentials.ts'
import { managersClient } from '../../src/muster-v1/managers-service.ts'
import type { FromDaemon, Received } from '../../src/muster-v1/messages.ts'
import { managersServerName } from '../../src/trust/issue.ts'
import type { Identities, ManagerIdentity } from '../support/certificates.ts'
import { serve } from '../support/programs.ts'
import { machineMs } from '../support/statistics.ts'

export interface IdleInput extends Identities {
  readonly port: number
  /** false: no more than the TLS connection. */
  readonly isManager: boolean
}

/** Dialled at once. */
const atOnce = 48
const closedAt = new Map<string, Promise<number>>()

serve({
  /** Resolves once every one is welcomed. */
  connect: async (input: IdleInput) => {
    const waiting = [...input.identities]
    const dial = input.isManager ? beManager : beBare
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await dial(input, next)
      }),
    )
  },
  /** The machine's time at which each of these connections was seen to close. */
  closed: async (backendIds: readonly string[]) => {
    const times: (number | undefined)[] = []
    for (const backendId of backendIds) times.push(await closedAt.get(backendId))
    return times
  },
})

async function beManager({ port, fleetId, ca }: IdleInput, identity: ManagerIdentity): Promise<void> {
  const { backendId } = identity
  const context = createSecureContext({ ...handshakeOf({ ...identity, ca }), minVersion: 'TLSv1.3' })
  const client = managersClient(`127.0.0.1:${port}`, credentials.createFromSecureContext(context), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.ssl_target_name_override': managersServerName(fleetId),
  })
  const stream = client.connect()
  const welcomed = Promise.withResolvers<undefined>()
  const closed = Promise.withResolvers<number>()
  closedAt.set(backendId, closed.promise)
  stream.on('error', (error: Error) => {
    closed.resolve(machineMs())
    welcomed.reject(error)
    client.close()
  })
  stream.on('end', () => closed.resolve(machineMs()))
  stream.on('data', ({ message }: Received<FromDaemon>) => {
    if (message === 'welcome') welcomed.resolve(undefined)
  })
  const hello = { hostId: '', address: '127.0.0.1', capacity: 0, version: 'bench', agents: [] }
  stream.write({ message: 'hello', hello })
  await welcomed.promise
}

async function beBare({ port, fleetId, ca }: IdleInput, identity: ManagerIdentity): Promise<void> {
  const socket = connectTls({
    ...handshakeOf({ ...identity, ca }),
    ...{ host: '127.0.0.1', port, servername: managersServerName(fleetId) },
    ALPNProtocols: ['h2'],
  })
  socket.on('error', () => undefined)
  // The server's first byte: only then has it taken the certificate.
  await once(socket, 'data')
}
