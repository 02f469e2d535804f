import { credentials } from '@grpc/grpc-js'
import { createSecureContext } from 'node:tls'

import { managersClient } from '../../src/muster-v1/managers-service.ts'
import type { AgentState, FromDaemon, FromManager, Hello, Received } from '../../src/muster-v1/messages.ts'
import { managersServerName } from '../../src/trust/issue.ts'
import type { ClientCertificate } from './client-certificates.ts'
import { testFleetId } from './client-certificates.ts'
import { eventually } from './eventually.ts'

type Kind = FromDaemon['message']
type Heard<K extends Kind> = Extract<FromDaemon, { readonly message: K }>

/** The wire's other end, which says exactly what a test tells it to. */
export interface ScriptedManager {
  readonly heard: readonly FromDaemon[]
  /** Why the stream ended; undefined while it is open. */
  readonly ended: string | undefined
  say(message: FromManager): void
  /** The first message of a kind, now or soon. */
  hears<K extends Kind>(kind: K): Promise<Heard<K>>
  /** All messages of a kind so far. */
  all<K extends Kind>(kind: K): readonly Heard<K>[]
  close(): void
}

export function dialDaemon(port: number, identity: ClientCertificate): ScriptedManager {
  const { key, certificate, ca } = identity
  const context = createSecureContext({ key, cert: certificate, ca, minVersion: 'TLSv1.3' })
  const client = managersClient(`127.0.0.1:${port}`, credentials.createFromSecureContext(context), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.ssl_target_name_override': managersServerName(testFleetId),
  })
  const stream = client.connect()
  const heard: FromDaemon[] = []
  let ended: string | undefined
  stream.on('data', (message: Received<FromDaemon>) => {
    if (message.message !== undefined) heard.push(message)
  })
  stream.on('error', (error: Error) => (ended ??= error.message))
  stream.on('end', () => (ended ??= 'ended'))
  const all = <K extends Kind>(kind: K) =>
    heard.filter((message): message is Heard<K> => message.message === kind)
  return {
    heard,
    get ended() {
      return ended
    },
    say: (message) => void stream.write(message),
    hears: (kind) => eventually(() => all(kind)[0], { what: `the daemon says ${kind}` }),
    all,
    close: () => {
      stream.cancel()
      client.close()
    },
  }
}

export function aHello(changes: Partial<Hello> = {}): FromManager & { readonly message: 'hello' } {
  return {
    message: 'hello',
    hello: { hostId: '', address: '127.0.0.1', capacity: 2, version: 'test', agents: [], ...changes },
  }
}

export function anAgentState(changes: Partial<AgentState> & { readonly agentId: string }): AgentState {
  return { status: 'WAITING', port: 4000, sessionId: '', app: 'default', failure: '', ...changes }
}
