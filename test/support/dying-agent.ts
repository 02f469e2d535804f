/** An agent of a bad image: it takes a session, and dies as soon as its user comes. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'

const say = (word: object): void => void process.stdout.write(`${JSON.stringify(word)}\n`)
const server = createServer((_, response) => response.end(() => process.exit(3)))
server.listen(0, '127.0.0.1', () => say({ type: 'listening', port: (server.address() as AddressInfo).port }))
createInterface({ input: process.stdin }).on('line', (line) => {
  const word = JSON.parse(line) as { type: string; session_id: string }
  if (word.type === 'session') say({ type: 'session-taken', session_id: word.session_id })
})
