/** The client's side against an engine that behaves as a real one does, over real HTTP and real sockets. */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'

import { afterEach, describe, expect, it } from 'vitest'

import { createHasuraClient } from '../../../src/hasura/client.ts'
import { createChangeFeed } from '../../../src/hasura/hasura-change-feed.ts'
import { createHasuraStore } from '../../../src/hasura/hasura-store.ts'
import type { Change } from '../../../src/store/change-feed.ts'
import type { Asked, Engine, EngineScript } from '../../support/an-engine.ts'
import { anEngine } from '../../support/an-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import { TestClock } from '../../support/test-clock.ts'

const secret = 'the-admin-secret'
const refused = '{"server_error_msg":"4403: invalid x-hasura-admin-secret/x-hasura-access-key"}'
const cleanUps: (() => void)[] = []
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp()
})

async function start(script: EngineScript): Promise<Engine> {
  const engine = await anEngine(script)
  cleanUps.push(() => engine.close())
  return engine
}

const clientOf = (url: string) => createHasuraClient({ url, adminSecret: secret, timeoutMs: 2_000 })
const error = (code: string, message: string) => ({ errors: [{ message, extensions: { path: '$', code } }] })

describe('a request', () => {
  const ask = async (script: EngineScript['answer']) => {
    const engine = await start(script === undefined ? {} : { answer: script })
    return clientOf(engine.url).request('query { fleet_regions { id } }')
  }

  it('carries the secret, the document and its variables', async () => {
    const asked: Asked[] = []
    const engine = await start({
      answer: (request) => {
        asked.push(request)
        return { body: { data: { ok: true } } }
      },
    })
    const args = { plan: { rows: [], why: null }, fence: 3 }
    expect(
      await clientOf(engine.url).request('mutation ($args: x_args!) { f(args: $args) }', { args }),
    ).toEqual({ ok: true })
    expect(asked).toMatchObject([{ variables: { args }, headers: { 'x-hasura-admin-secret': secret } }])
    // A name would have to be one of the document's operations.
    expect(asked[0]).not.toHaveProperty('operationName')
  })

  it.each([
    ['errors with HTTP 200', 200, error('unexpected', 'database query error'), 'database-unavailable'],
    [
      'errors beside data',
      200,
      { data: { a: 1 }, ...error('permission-error', 'Check constraint violation.') },
      'database-refused',
    ],
    [
      'a wrong secret with HTTP 200',
      200,
      error('access-denied', 'invalid x-hasura-admin-secret/x-hasura-access-key'),
      'database-denied',
    ],
    [
      'an older error',
      400,
      { errors: [{ path: '$', error: 'words', code: 'unexpected' }] },
      'database-unavailable',
    ],
    [
      'a path that it does not know',
      404,
      { path: '$', error: 'resource does not exist', code: 'not-found' },
      'database-unavailable',
    ],
    ['a router’s HTML', 503, '<html>Application error</html>', 'database-unavailable'],
    ['HTML with HTTP 200', 200, '<html>Welcome</html>', 'database-unavailable'],
    ['a proxy’s refusal', 401, '', 'database-denied'],
  ])('that is answered by %s is an error of ours', async (_what, status, body, code) => {
    await expect(ask(() => ({ status, body }))).rejects.toMatchObject({ name: 'MusterError', code })
  })

  it('that nobody answers in time, or at all, says so', async () => {
    const nobody = clientOf(`http://127.0.0.1:${await freePort()}/v1/graphql`)
    await expect(nobody.request('query { a }')).rejects.toMatchObject({
      code: 'database-unavailable',
      message: expect.stringContaining('ECONNREFUSED') as string,
    })
    const engine = await start({ answer: () => new Promise(() => undefined) })
    const impatient = createHasuraClient({ url: engine.url, adminSecret: secret, timeoutMs: 50 })
    await expect(impatient.request('query { a }')).rejects.toMatchObject({
      code: 'database-unavailable',
      retryable: true,
    })
  })
})

describe('the schema’s check', () => {
  const check = async (body: unknown) =>
    createHasuraStore(clientOf((await start({ answer: () => ({ body }) })).url), Date.now).checkSchema()

  it('says what to run when the schema is not there', async () => {
    const missing = error('validation-failed', "field 'fleet_settings' not found in type: 'query_root'")
    await expect(check(missing)).rejects.toMatchObject({
      code: 'schema-outdated',
      message: expect.stringContaining('hasura migrate apply') as string,
    })
  })

  it('does not blame the schema for a wrong secret', async () => {
    const denied = error('access-denied', 'invalid x-hasura-admin-secret/x-hasura-access-key')
    await expect(check(denied)).rejects.toMatchObject({ code: 'database-denied' })
  })
})

describe('the stream of changes', () => {
  const row = (sequence: number | string, table = 'hosts') => ({
    sequence,
    table_name: table,
    row_id: `${table} ${sequence}`,
    region_id: 'test/one',
  })
  const batch = (...sequences: (number | string)[]) => ({
    data: { changes: sequences.map((one) => row(one)) },
  })

  /** Follow as the daemon does: the cursor is the highest sequence that was heard. */
  function follow(url: string) {
    const clock = new TestClock()
    const end = new AbortController()
    const heard: Change[] = []
    const seen: string[] = []
    const over = createChangeFeed(clientOf(url), clock).follow(
      () => Math.max(0, ...heard.map(({ sequence }) => sequence)),
      {
        connected: () => seen.push('connected'),
        gap: (why) => seen.push(why),
        batch: (changes, isFull) => {
          heard.push(...changes)
          if (isFull) seen.push('full')
        },
      },
      end.signal,
    )
    cleanUps.push(() => end.abort())
    return { clock, heard, seen, stop: () => (end.abort(), over) }
  }
  const last = (engine: Engine) => engine.subscriptions.at(-1)!

  it('is subscribed to beyond the cursor, with numbers as numbers or, as an engine may be set, as strings', async () => {
    const engine = await start({})
    const { heard, seen } = follow(engine.url)
    await eventually(() => engine.subscriptions.length === 1)
    expect(last(engine)).toMatchObject({
      variables: { after: 0 },
      query: expect.stringContaining('fleet_changes_stream') as string,
    })
    last(engine).next(batch(1, 2))
    last(engine).next(batch('3', '4'))
    await eventually(() => heard.length === 4)
    expect(heard.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4])
    expect(heard[0]).toEqual({ sequence: 1, table: 'hosts', rowId: 'hosts 1', regionId: 'test/one' })
    expect(seen).toEqual(['connected'])
  })

  it('says when a batch is full: the engine may have cut it', async () => {
    const engine = await start({
      onSubscribe: ({ next }) => next(batch(...Array.from({ length: 1000 }, (_, i) => i + 1))),
    })
    const { seen } = follow(engine.url)
    await eventually(() => seen.includes('full'))
  })

  it.each([
    [
      'broken',
      (engine: Engine) => last(engine).close(),
      expect.stringMatching(/^the socket (broke|could not|closed \(1006\))/),
    ],
    [
      'closed by a restart',
      (engine: Engine) => last(engine).close(1012, 'restarting'),
      'the socket closed (1012 restarting)',
    ],
    ['completed', (engine: Engine) => last(engine).complete(), 'the engine ended the stream'],
    [
      'answered by an error',
      (engine: Engine) =>
        last(engine).fail([
          { message: 'database query error', extensions: { path: '$', code: 'unexpected' } },
        ]),
      'unexpected: database query error',
    ],
    [
      'pushed an error by a poll',
      (engine: Engine) => last(engine).next({ data: null, ...error('postgres-error', 'connection error') }),
      'postgres-error: connection error',
    ],
    [
      'given rows of another shape',
      (engine: Engine) => last(engine).next({ data: { changes: [{ sequence: null }] } }),
      'fleet_changes_stream: rows of another shape',
    ],
  ])('that is %s is a gap, and is followed anew from where it was', async (_what, happen, why) => {
    const engine = await start({})
    const { clock, heard, seen } = follow(engine.url)
    await eventually(() => engine.subscriptions.length === 1)
    last(engine).next(batch(1, 2))
    await eventually(() => heard.length === 2)
    happen(engine)
    await eventually(() => seen.length === 2)
    await clock.advance(1_000)
    await eventually(() => engine.subscriptions.length === 2)
    expect(last(engine).variables).toEqual({ after: 2 })
    expect(seen).toEqual(['connected', why, 'connected'])
  })

  it('waits longer each time for an engine that takes connections and ends them, but never above a second', async () => {
    const engine = await start({
      onSubscribe: ({ fail }) =>
        fail([{ message: 'database query error', extensions: { path: '$', code: 'unexpected' } }]),
    })
    const { clock, seen } = follow(engine.url)
    const waits: number[] = []
    for (let tries = 1; tries <= 8; tries += 1) {
      await eventually(() => seen.length === tries * 2)
      const before = clock.now()
      while (engine.connections === tries) await clock.advance(25)
      waits.push(clock.now() - before)
      await eventually(() => engine.connections === tries + 1)
    }
    expect(waits[0]).toBeLessThanOrEqual(75)
    expect(Math.min(...waits.slice(-3))).toBeGreaterThan(500)
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_100)
  })

  it.each([4400, 4401, 4403])('does not insist with a secret that is refused with %i', async (code) => {
    let isMended = false
    const engine = await start({ admit: () => (isMended ? undefined : { code, reason: refused }) })
    const { clock, seen } = follow(engine.url)
    await eventually(() => seen.length === 1)
    expect(seen[0]).toBe(
      `the engine refuses HASURA_GRAPHQL_ADMIN_SECRET: the socket closed (${code} invalid x-hasura-admin-secret/x-hasura-access-key)`,
    )
    await clock.advance(29_000)
    expect(engine.connections).toBe(1)
    isMended = true
    await clock.advance(1_000)
    await eventually(() => seen.at(-1) === 'connected', { what: 'a secret mended at the other end is found' })
  })

  it('is tried for an engine that is not there yet until it is', async () => {
    const port = await freePort()
    const { clock, seen } = follow(`http://127.0.0.1:${port}/v1/graphql`)
    for (let failures = 1; failures <= 5; failures += 1) {
      await eventually(() => seen.length >= failures)
      await clock.advance(1_000)
    }
    expect(new Set(seen)).toEqual(new Set(['the socket could not be opened, or broke']))
  })

  it('is tried again for an engine that is going down, and answers upgrades with 503', async () => {
    const server = createServer((socket) => {
      socket.once('data', () =>
        socket.end('HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n'),
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    cleanUps.push(() => server.close())
    const { clock, seen } = follow(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/graphql`)
    await eventually(() => seen.length >= 1)
    await clock.advance(1_000)
    await eventually(() => seen.length >= 2)
  })

  it('ends when it is stopped, and is not called broken', async () => {
    const engine = await start({})
    const { seen, stop } = follow(engine.url)
    await eventually(() => engine.subscriptions.length === 1)
    await stop()
    expect(seen).toEqual(['connected'])
  })
})

describe('changes by key', () => {
  const changes = (...sequences: (number | string)[]) => ({
    body: {
      data: {
        changes: sequences.map((sequence) => ({
          sequence,
          table_name: 'hosts',
          row_id: 'h',
          region_id: 'r',
        })),
      },
    },
  })

  it('are asked for by number, and read as numbers or strings', async () => {
    const asked: Asked[] = []
    const engine = await start({
      answer: (request) => {
        asked.push(request)
        return changes(7, '9007199254740991')
      },
    })
    const feed = createChangeFeed(clientOf(engine.url), new TestClock())
    expect((await feed.read([7, 8])).map(({ sequence }) => sequence)).toEqual([7, Number.MAX_SAFE_INTEGER])
    expect(asked[0]?.variables).toEqual({ sequences: [7, 8] })
    expect(await feed.read([])).toEqual([])
    expect(asked).toHaveLength(1)
  })

  it.each([
    [['12'], 12],
    [[12], 12],
    [[], 0],
  ])('have a latest one: %j', async (sequences, latest) => {
    const engine = await start({ answer: () => changes(...sequences) })
    expect(await createChangeFeed(clientOf(engine.url), new TestClock()).latest()).toBe(latest)
  })
})
