/** The managers of a whole region in one process: each has its own stream, and takes every session at once. */
import { credentials } from '@grpc/grpc-js'
import { createSecureContext } from 'node:tls'

import { managersClient } from '../../src/muster-v1/managers-service.ts'
import type { AgentState, FromDaemon, Received } from '../../src/muster-v1/messages.ts'
import { managersServerName } from '../../src/trust/issue.ts'
import type { Identities, ManagerIdentity } from '../support/certificates.ts'
import { serve } from '../support/programs.ts'

export interface ManagersInput extends Identities {
  readonly port: number
  readonly agentsPerHost: number
}

serve({
  /** Resolves once every manager is welcomed. */
  connect: async (input: ManagersInput) => {
    await Promise.all(input.identities.map((identity) => connect(input, identity)))
  },
})

function connect(
  { port, fleetId, ca, agentsPerHost }: ManagersInput,
  { backendId, key, certificate: cert }: ManagerIdentity,
): Promise<void> {
  const context = createSecureContext({ key, cert, ca, minVersion: 'TLSv1.3' })
  const client = managersClient(`127.0.0.1:${port}`, credentials.createFromSecureContext(context), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.ssl_target_name_override': managersServerName(fleetId),
  })
  const stream = client.connect()
  const agents = Array.from({ length: agentsPerHost }, (_, agent): AgentState => ({
    agentId: `${backendId}/a${agent + 1}`,
    status: 'WAITING',
    port: 4000,
    sessionId: '',
    app: 'default',
    failure: '',
  }))
  stream.write({
    message: 'hello',
    hello: {
      hostId: '',
      address: '127.0.0.1',
      capacity: agentsPerHost,
      version: 'bench',
      agents,
    },
  })
  return new Promise((resolve, reject) => {
    stream.on('error', reject)
    stream.on('data', (received: Received<FromDaemon>) => {
      if (received.message === 'welcome') resolve()
      if (received.message === 'refused') reject(new Error(received.refused.message))
      if (received.message !== 'startSession') return
      const { agentId, sessionId } = received.startSession
      stream.write({ message: 'sessionTaken', sessionTaken: { agentId, sessionId, taken: true, error: '' } })
    })
  })
}
