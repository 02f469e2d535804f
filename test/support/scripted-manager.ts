import { credentials } from '@grpc/grpc-js'
import { createHash, randomBytes } from 'node:crypto'

import { enrolmentToken } from '../../src/lib/enrolment-token.ts'
import { managersClient } from '../../src/muster-v1/managers-service.ts'
import type { AgentState, FromDaemon, FromManager, Hello, Received } from '../../src/muster-v1/messages.ts'
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

export function dialDaemon(port: number): ScriptedManager {
  const client = managersClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
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

export function aHello(changes: Partial<Hello> & { readonly fleetKey?: string } = {}): FromManager & {
  readonly message: 'hello'
} {
  const { fleetKey, ...rest } = changes
  const token = fleetKey === undefined ? '' : enrolmentToken(fleetKey, rest.launchId ?? '', 1)
  return {
    message: 'hello',
    hello: {
      hostKey: aHostKey(),
      hostId: '',
      launchId: '',
      enrolmentToken: token,
      cloudId: '',
      address: '127.0.0.1',
      capacity: 2,
      version: 'test',
      agents: [],
      ...rest,
    },
  }
}

export function anAgentState(changes: Partial<AgentState> & { readonly agentId: string }): AgentState {
  return { status: 'WAITING', port: 4000, sessionId: '', app: 'default', ...changes }
}

export function aHostKey(): string {
  return randomBytes(32).toString('hex')
}

export function hashOf(hostKey: string): string {
  return createHash('sha256').update(hostKey).digest('hex')
}
