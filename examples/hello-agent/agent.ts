import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'

/**
 * The smallest agent: docs/agents.md describes what it says to its manager and what it hears. One process serves one
 * session and ends with it, so that no user ever meets what another left behind.
 *
 *   GET /      the session, 404 while there is none; the first one is the user's coming. `ends_at`: when the machine ends;
 *              `draining`: it takes no more users
 *   POST /end  ends the session
 */
interface Session {
  readonly session_id: string
  readonly user_id: string
}

const agentId = process.env['MUSTER_AGENT_ID'] ?? ''
let session: Session | undefined
let hasConnected = false
let endsAt: string | undefined
let isDraining: true | undefined

// A session outlives its manager: neither the broken pipe of our output nor the end of our input ends it.
process.stdout.on('error', () => undefined)

function say(word: object): void {
  process.stdout.write(`${JSON.stringify(word)}\n`)
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
}

function handle(request: IncomingMessage, response: ServerResponse): void {
  const isRoot = request.url === '/' && request.method === 'GET'
  const isEnd = request.url === '/end' && request.method === 'POST'
  if (session === undefined) {
    answer(response, 404, { error: 'no session' })
    return
  }
  if (isRoot) {
    if (!hasConnected) say({ type: 'connected' })
    hasConnected = true
    answer(response, 200, { agent_id: agentId, ...session, ends_at: endsAt, draining: isDraining })
    return
  }
  if (!isEnd) {
    answer(response, 404, { error: 'not found' })
    return
  }
  response.once('close', () => {
    say({ type: 'ended' })
    process.exit(0)
  })
  response.setHeader('connection', 'close')
  answer(response, 200, { ended: session.session_id })
}

const server = createServer(handle)
server.listen(0, '127.0.0.1', () => {
  say({ type: 'listening', port: (server.address() as AddressInfo).port })
})

createInterface({ input: process.stdin }).on('line', (line) => {
  const word = JSON.parse(line) as Session & { readonly type: string; readonly at: string }
  if (word.type === 'interruption') endsAt = word.at
  if (word.type === 'draining') isDraining = true
  if (word.type !== 'session') return
  session ??= { session_id: word.session_id, user_id: word.user_id }
  if (session.session_id === word.session_id) say({ type: 'session-taken', session_id: word.session_id })
  else say({ type: 'session-refused', session_id: word.session_id, error: 'another session is here' })
})
