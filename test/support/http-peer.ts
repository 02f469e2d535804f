/** A client that sends what it is told to, byte for byte, where a good one would mend it. */
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'

export interface PeerAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
}

export interface PeerCall {
  readonly method?: string
  /** As it is: no `..` is resolved. */
  readonly path: string
  /** A list is sent as so many headers. */
  readonly headers?: Readonly<Record<string, string | string[]>>
  /** An object is sent as JSON. */
  readonly body?: string | Buffer | object | undefined
}

/** One request, on a connection of its own, to a server on this machine. */
export async function ask(port: number, call: PeerCall): Promise<PeerAnswer> {
  const { method = 'GET', path, headers = {}, body } = call
  const isJson = typeof body === 'object' && !Buffer.isBuffer(body)
  const content = isJson ? JSON.stringify(body) : body
  const sent = request({
    ...{ host: '127.0.0.1', port, method, path, agent: false },
    headers: {
      ...(isJson && { 'content-type': 'application/json' }),
      ...(content !== undefined && { 'content-length': Buffer.byteLength(content) }),
      ...headers,
    },
  })
  // A server that has answered may close while the rest of a large body is still being written.
  const answered = new Promise<PeerAnswer>((resolve, reject) => {
    sent.on('error', reject)
    sent.on('response', (response) => {
      text(response).then((got) => {
        const json = parsed(got)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: got, json })
      }, reject)
    })
  })
  sent.end(content)
  return await answered
}

/** Bytes to the server, and all that it says until it closes. */
export async function sayRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write(bytes)
  return await text(socket)
}

function parsed(content: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(content) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}
