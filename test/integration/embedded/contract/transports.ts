/** The three ways to ask an endpoint: HTTP, and both of Hasura's protocols of a WebSocket. */
import WebSocket from 'ws'

import type { ContractCase } from './case.ts'

export const transportNames = ['HTTP', 'graphql-transport-ws', 'graphql-ws'] as const
export type TransportName = (typeof transportNames)[number]

export interface Reply {
  readonly answer: unknown
  /** All that came, letter by letter: parsing rounds numbers. */
  readonly text: string
}

export interface Transport {
  readonly name: TransportName
  /** @throws Error when there is no answer */
  ask(request: Pick<ContractCase, 'query' | 'variables' | 'operationName'>): Promise<Reply>
  close(): void
}

interface Target {
  /** `http://host:port/v1/graphql` */
  readonly url: string
  readonly adminSecret: string
}

export function overHttp({ url, adminSecret }: Target): Transport {
  return {
    name: 'HTTP',
    ask: async ({ query, variables, operationName }) => {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-hasura-admin-secret': adminSecret },
        body: JSON.stringify({ query, variables, operationName }),
      })
      const text = await response.text()
      if (response.status !== 200) throw new Error(`status ${response.status}: ${text.slice(0, 300)}`)
      return { answer: JSON.parse(text), text }
    },
    close: () => undefined,
  }
}

/** What the protocols call the same thing. */
const words = {
  'graphql-transport-ws': { start: 'subscribe', next: 'next' },
  'graphql-ws': { start: 'start', next: 'data' },
}

interface Waiting {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: Error) => void
  reply?: Reply
}

/** One socket for all that is asked. @throws Error when the endpoint does not let it in */
export async function overSocket(
  { url, adminSecret }: Target,
  name: Exclude<TransportName, 'HTTP'>,
): Promise<Transport> {
  const { start, next } = words[name]
  const waiting = new Map<string, Waiting>()
  const socket = new WebSocket(url.replace(/^http/, 'ws'), name)
  const say = (message: unknown): void => socket.send(JSON.stringify(message))
  const headers = { 'x-hasura-admin-secret': adminSecret }
  let asked = 0
  await new Promise<void>((resolve, reject) => {
    socket.on('open', () => say({ type: 'connection_init', payload: { headers } }))
    socket.on('error', reject)
    socket.on('close', (code, reason) => {
      const error = new Error(`the ${name} socket was closed: ${code} ${reason.toString()}`)
      reject(error)
      for (const each of waiting.values()) each.reject(error)
    })
    socket.on('message', (data: Buffer) => {
      const text = data.toString()
      const message = JSON.parse(text) as { type: string; id?: string; payload?: unknown }
      if (message.type === 'connection_ack') resolve()
      if (message.type === 'ping') say({ type: 'pong', payload: message.payload })
      const each = waiting.get(message.id ?? '')
      if (each === undefined) return
      if (message.type === next) each.reply = { answer: message.payload, text }
      if (message.type === 'error') each.reply ??= { answer: { errors: errorsOf(message.payload) }, text }
      if (message.type !== 'complete' && message.type !== 'error') return
      waiting.delete(message.id ?? '')
      if (each.reply === undefined) each.reject(new Error(`the ${name} socket gave no answer`))
      else each.resolve(each.reply)
    })
  })
  return {
    name,
    ask: async ({ query, variables, operationName }) =>
      await new Promise((resolve, reject) => {
        const id = String((asked += 1))
        waiting.set(id, { resolve, reject })
        say({ type: start, id, payload: { query, variables, operationName } })
      }),
    close: () => socket.terminate(),
  }
}

/** A list, `{errors}`, or the one error, by protocol and by who refuses. */
function errorsOf(payload: unknown): unknown {
  if (Array.isArray(payload)) return payload
  const { errors } = payload as { errors?: unknown }
  return errors ?? [payload]
}
