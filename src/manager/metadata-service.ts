/**
 * The instance metadata service, version 2: a token by PUT, then what is asked for by GET. Whatever answers there is
 * taken for a stranger: answers are small and in time, or there is none, and no redirection is followed.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html
 */
import { request } from 'node:http'
import type { OutgoingHttpHeaders } from 'node:http'

import type { Clock } from '../lib/clock.ts'

export interface MetadataServiceOptions {
  /** `http://address[:port]` of the service; a path after it goes before that of each request. */
  readonly endpoint: string
  /** How long an answer may take as a whole, in milliseconds. */
  readonly timeoutMs: number
  readonly clock: Clock
}

interface Answer {
  readonly status: number
  readonly body: string
}

/** The longest that EC2 gives a token, in seconds; it is renewed at half of that. */
const tokenLifeS = 21_600
/** Of an answer's body, in bytes. */
const largestAnswer = 4096

export class MetadataService {
  readonly #options: MetadataServiceOptions
  #token: { readonly text: string; readonly renewAt: number } | undefined

  constructor(options: MetadataServiceOptions) {
    this.#options = options
  }

  /**
   * @param path below `/latest/meta-data/`
   * @returns undefined where there is nothing
   * @throws Error in words, when the service gives no answer that makes sense
   */
  async read(path: string, signal: AbortSignal): Promise<string | undefined> {
    let answer = await this.#get(path, signal)
    if (answer.status === 401) {
      // The token has ended before its time.
      this.#token = undefined
      answer = await this.#get(path, signal)
    }
    if (answer.status === 404) return undefined
    if (answer.status !== 200) throw new Error(`the metadata service answers ${answer.status} for ${path}`)
    return answer.body
  }

  async #get(path: string, signal: AbortSignal): Promise<Answer> {
    const token = await this.#currentToken(signal)
    return this.#ask('GET', `/latest/meta-data/${path}`, { 'x-aws-ec2-metadata-token': token }, signal)
  }

  async #currentToken(signal: AbortSignal): Promise<string> {
    const now = this.#options.clock.now()
    if (this.#token !== undefined && now < this.#token.renewAt) return this.#token.text
    this.#token = undefined
    const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': `${tokenLifeS}`, 'content-length': '0' }
    const { status, body } = await this.#ask('PUT', '/latest/api/token', headers, signal)
    if (status !== 200) throw new Error(`the metadata service answers ${status} for a token`)
    // It goes into a header.
    if (!/^[\x21-\x7e]{1,1024}$/.test(body)) throw new Error('the metadata service gives no token')
    this.#token = { text: body, renewAt: now + (tokenLifeS * 1000) / 2 }
    return body
  }

  #ask(method: string, path: string, headers: OutgoingHttpHeaders, signal: AbortSignal): Promise<Answer> {
    const { endpoint, timeoutMs, clock } = this.#options
    return new Promise((resolve, reject) => {
      const options = { method, headers, signal, agent: false, maxHeaderSize: 8192 }
      const asked = request(`${endpoint.replace(/\/$/, '')}${path}`, options, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text
          if (body.length > largestAnswer) asked.destroy(new Error('the metadata service says too much'))
        })
        response.once('end', () => end(() => resolve({ status: response.statusCode ?? 0, body })))
        response.once('error', (error) => end(() => reject(error)))
      })
      const cancel = clock.after(timeoutMs, () =>
        asked.destroy(new Error('the metadata service does not answer in time')),
      )
      const end = (settle: () => void): void => {
        cancel()
        settle()
      }
      asked.on('error', (error) => end(() => reject(error)))
      asked.end()
    })
  }
}
