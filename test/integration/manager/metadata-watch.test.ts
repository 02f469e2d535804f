import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { systemClock } from '../../../src/lib/clock.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { watchMetadata } from '../../../src/manager/metadata-watch.ts'
import type { InterruptionNotice } from '../../../src/model/interruption.ts'
import { eventually } from '../../support/eventually.ts'
import { MetadataServer } from '../../support/metadata-server.ts'

let server: MetadataServer
let stopping: AbortController
let watched: Promise<void>
let notices: InterruptionNotice[]
let warnings: string[]

const end = new Date('2026-11-21T12:02:00Z')
const interruption = { kind: 'interruption', at: end.getTime(), action: 'terminate' }

function watch(timeoutMs = 2000): void {
  const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, {
    warn: ({ fault }: { fault: string }) => void warnings.push(fault),
  })
  const noticed = (notice: InterruptionNotice) => void notices.push(notice)
  watched = watchMetadata(
    { endpoint: server.endpoint, everyMs: 5, timeoutMs, noticed, clock: systemClock, log },
    stopping.signal,
  )
}
const looks = (count: number) => {
  const from = server.looks
  return eventually(() => server.looks >= from + count, { what: `${count} more looks` })
}

beforeEach(async () => {
  server = await new MetadataServer().start()
  stopping = new AbortController()
  notices = []
  warnings = []
})
afterEach(async () => {
  stopping.abort()
  await watched
  server.stop()
})

describe('the watch of the metadata service', () => {
  it('finds nothing where nothing is, with one token, and says nothing of it', async () => {
    watch()
    await looks(10)
    expect({ notices, warnings, tokens: server.tokens }).toEqual({ notices: [], warnings: [], tokens: 1 })
  })

  it('tells of an interruption and of advice, at each look', async () => {
    watch()
    await looks(2)
    server.interrupt(end, { action: 'hibernate' })
    server.advise(end)
    await eventually(() => notices.length >= 4)
    expect(notices.slice(-4)).toContainEqual({ ...interruption, action: 'hibernate' })
    expect(notices.slice(-4)).toContainEqual({ kind: 'rebalance', at: end.getTime(), action: '' })
    expect(warnings).toEqual([])
  })

  it('gets a new token when the old one is not taken any more, in the same look', async () => {
    watch()
    await looks(2)
    server.forgetToken()
    server.interrupt(end)
    await eventually(() => notices.length > 0)
    expect({ tokens: server.tokens, warnings }).toEqual({ tokens: 2, warnings: [] })
  })

  const never = (request: IncomingMessage) => void request.resume()
  const hostile: readonly [string, (request: IncomingMessage, response: ServerResponse) => void, RegExp][] = [
    ['does not answer', never, /in time/],
    ['drips', (_, response) => void response.writeHead(200).write('{'), /in time/],
    ['says too much', (_, response) => void response.writeHead(200).end('x'.repeat(1_000_000)), /too much/],
    ['talks nonsense', (_, response) => void response.writeHead(200).end('<html>\n<p>'), /token|JSON/],
    ['says another thing', (_, response) => void response.writeHead(200).end('{"time":1}'), /nonsense/],
    ['fails', (_, response) => void response.writeHead(500).end('sorry'), /answers 500/],
    ['refuses every token', (_, response) => void response.writeHead(401).end(), /answers 401/],
    ['hangs up', (request) => void request.socket.destroy(), /hang up|ECONNRESET/],
    ['answers no HTTP', (request) => void request.socket.end('gopher\r\n\r\n'), /Parse Error/],
    [
      'has endless headers',
      (_, response) => void response.writeHead(200, { x: 'y'.repeat(20_000) }).end(),
      /Header/,
    ],
  ]
  describe.each(['GET', 'PUT'])('outlives a service that, at %s,', (method) => {
    it.each(hostile)('%s', async (_, trick, fault) => {
      server.trick = (request, response) => {
        if (request.method !== method) return false
        trick(request, response)
        return true
      }
      watch(fault.test('in time') ? 50 : 2000)
      await eventually(() => warnings.length > 0)
      if (method === 'GET' || fault.test('token')) expect(warnings[0]).toMatch(fault)
      expect(notices).toEqual([])
      server.trick = () => false
      server.forgetToken()
      server.interrupt(end)
      await eventually(() => notices.length > 0)
      expect(notices[0]).toEqual(interruption)
    })
  })

  it('goes nowhere else, whatever it is told', async () => {
    const elsewhere = await new MetadataServer().start()
    server.trick = (request, response) => {
      if (request.method === 'GET')
        response.writeHead(307, { location: elsewhere.endpoint + (request.url ?? '') }).end()
      return request.method === 'GET'
    }
    watch()
    await looks(4)
    expect({ looks: elsewhere.looks, tokens: elsewhere.tokens, notices }).toEqual({
      looks: 0,
      tokens: 0,
      notices: [],
    })
    elsewhere.stop()
  })

  it('says each fault once, and stops at once', async () => {
    server.trick = (request, response) => {
      if (request.method === 'GET') response.writeHead(500).end()
      return request.method === 'GET'
    }
    watch()
    await looks(10)
    expect(warnings).toHaveLength(2)
    stopping.abort()
    await watched
  })
})
