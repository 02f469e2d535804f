/**
 * A kept connection that posts one body after another, with nothing between it and the socket: a caller must not cost
 * more than what it calls, on a machine that both share.
 */
import { connect } from 'node:net'

export interface RawConnection {
  /** The answer's body. @throws Error when the status is not 200 or the connection ends */
  post(body: string): Promise<string>
  close(): void
}

const endOfHead = '\r\n\r\n'

export async function connectRaw(
  url: string,
  headers: Readonly<Record<string, string>>,
): Promise<RawConnection> {
  const { hostname, port, pathname } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const lines = Object.entries({ ...headers, host: hostname, 'content-type': 'application/json' })
  const head = `POST ${pathname} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}`
  let waiting: PromiseWithResolvers<string> | undefined
  let received = ''
  const fail = (reason: string): void => waiting?.reject(new Error(reason))
  socket.on('close', () => fail('the connection ended'))
  socket.on('error', (error) => fail(error.message))
  // Latin-1: one character a byte, as the length counts them.
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text
    const end = received.indexOf(endOfHead)
    if (end < 0) return
    const length = Number(/content-length: (\d+)/i.exec(received)?.[1])
    const body = received.slice(end + endOfHead.length)
    if (body.length < length) return
    if (received.startsWith('HTTP/1.1 200')) waiting?.resolve(body)
    else fail(received)
    received = ''
  })
  return {
    post: (body) => {
      waiting = Promise.withResolvers<string>()
      socket.write(`${head}content-length: ${Buffer.byteLength(body)}${endOfHead}${body}`)
      return waiting.promise
    },
    close: () => socket.destroy(),
  }
}
