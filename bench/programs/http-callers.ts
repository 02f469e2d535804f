/** Users at `POST /v1/assign`: each caller has one kept connection, each request is of another user. */
import { Agent, request } from 'node:http'

import { SignJWT } from 'jose'

import { crowd } from '../support/callers.ts'
import { serve } from '../support/programs.ts'

export interface AssignsInput {
  readonly apiUrl: string
  readonly jwtSecret: string
  readonly callers: number
  readonly regionId: string
  readonly calls: number
  /** So that no user comes twice. */
  readonly users: string
}

serve({
  assign: async ({ apiUrl, jwtSecret, callers, regionId, calls, users }: AssignsInput) => {
    const agent = new Agent({ keepAlive: true, maxSockets: callers })
    const body = JSON.stringify({ regions: [regionId] })
    const tokens = await Promise.all(
      Array.from({ length: calls }, (_, index) => tokenOf(`${users}-${index + 1}`, jwtSecret)),
    )
    const result = await crowd(callers, calls, async (number) => {
      await post(`${apiUrl}/v1/assign`, agent, tokens[number - 1]!, body)
    })
    agent.destroy()
    return result
  },
})

function post(url: string, agent: Agent, token: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    }
    const sent = request(url, { method: 'POST', agent, headers }, (response) => {
      let answer = ''
      response.setEncoding('utf8').on('data', (text: string) => (answer += text))
      response.once('end', () => {
        if (response.statusCode === 200) resolve()
        else reject(new Error(`an assign was answered ${response.statusCode ?? 0}: ${answer}`))
      })
    })
    sent.once('error', reject)
    sent.end(body)
  })
}

function tokenOf(user: string, secret: string): Promise<string> {
  return new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(secret))
}
