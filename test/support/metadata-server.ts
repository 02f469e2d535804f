import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'

/**
 * An instance metadata service on loopback, version 2 as EC2 has it: nothing without a token, which only a PUT gives. It may
 * serve many machines, each below its own name.
 */
export class MetadataServer {
  readonly #server: Server
  readonly #documents = new Map<string, string>()
  #token = 0
  /** Takes an answer over: to be slow, huge, or nonsense. Gives whether it did. */
  trick: (request: IncomingMessage, response: ServerResponse) => boolean = () => false
  tokens = 0
  /** GETs, well or badly answered. */
  looks = 0

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The provider ends the machine at this moment. */
  interrupt(at: Date, { action = 'terminate', machine = '' } = {}): void {
    const document = JSON.stringify({ action, time: textOf(at) })
    this.#documents.set(`${machine}/latest/meta-data/spot/instance-action`, document)
  }

  advise(at = new Date(), machine = ''): void {
    const document = JSON.stringify({ noticeTime: textOf(at) })
    this.#documents.set(`${machine}/latest/meta-data/events/recommendations/rebalance`, document)
  }

  /** The token that it gave last is worth nothing any more. */
  forgetToken(): void {
    this.#token += 1
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #answer(request: IncomingMessage, response: ServerResponse): unknown {
    const answer = (status: number, body = '') => response.writeHead(status).end(body)
    const { url = '', method, headers } = request
    if (method === 'GET') this.looks += 1
    if (this.trick(request, response)) return undefined
    if (url.endsWith('/latest/api/token')) {
      const isWell = method === 'PUT' && headers['x-aws-ec2-metadata-token-ttl-seconds'] === '21600'
      this.tokens += 1
      return answer(isWell ? 200 : 400, `token-${this.#token}`)
    }
    if (headers['x-aws-ec2-metadata-token'] !== `token-${this.#token}`) return answer(401)
    const document = this.#documents.get(url.replace(/^\//, '').replace(/^latest/, '/latest'))
    return answer(document === undefined ? 404 : 200, document)
  }
}

/** EC2 tells whole seconds; tests may need less. */
function textOf(at: Date): string {
  return at.toISOString().replace('.000Z', 'Z')
}
