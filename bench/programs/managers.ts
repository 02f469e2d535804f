/** The managers of a whole region in one process: each has its own stream, and takes every session at once. */
import { credentials } from '@grpc/grpc-js'

import { managersClient } from '../../src/muster-v1/managers-service.ts'
import type { AgentState, FromDaemon, Received } from '../../src/muster-v1/messages.ts'
import { hostKeyOf } from '../support/fleets.ts'
import { serve } from '../support/programs.ts'

export interface ManagersInput {
  readonly port: number
  readonly regionId: string
  readonly hosts: number
  readonly agentsPerHost: number
}

serve({
  /** Resolves once every manager is welcomed. */
  connect: async (input: ManagersInput) => {
    await Promise.all(Array.from({ length: input.hosts }, (_, index) => connect(input, index + 1)))
  },
})

function connect({ port, regionId, agentsPerHost }: ManagersInput, index: number): Promise<void> {
  const client = managersClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  })
  const stream = client.connect()
  const agents = Array.from({ length: agentsPerHost }, (_, agent): AgentState => ({
    agentId: `${regionId}/h${index}/a${agent + 1}`,
    status: 'WAITING',
    port: 4000,
    sessionId: '',
    app: 'default',
  }))
  stream.write({
    message: 'hello',
    hello: {
      hostKey: hostKeyOf(`${regionId}/h${index}`),
      hostId: '',
      launchId: '',
      enrolmentToken: '',
      cloudId: '',
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
