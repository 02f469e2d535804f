/**
 * Generated frames, from well-formed to hostile, on both sub-protocols: the endpoint neither crashes nor hangs, keeps no
 * operation of a socket that has gone, and says nothing of its insides.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import WebSocket from 'ws'

import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { anEndpoint } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import type { GuardedOffice } from '../../support/guarded-office.ts'
import { aGuardedOffice } from '../../support/guarded-office.ts'
import { hostileRequest } from '../../support/hostile-documents.ts'
import { fillLibrary } from '../../support/library.ts'
import { connectPeer, init, newProtocol, oldProtocol } from '../../support/socket-peer.ts'
import { runs } from '../../support/thoroughness.ts'

const seed = 20261121
const sockets = runs(15, 45)
const framesEach = 40
/** Of roles, in place of as many of the administrator's. */
const roleSockets = runs(6, 12)

/** What an answer may never hold: names of files, of our own code, of the database's insides. */
const insides =
  /\.ts:\d|node_modules|at async |internal error|database query error|TypeError|undefined \(|muster_endpoint|cohort/

const good = [
  '{ author { id } }',
  '{ author(where: {id: {_eq: 1}}) { name books { title } } }',
  'subscription { author(order_by: {id: asc}) { name } }',
  'subscription { author_aggregate { aggregate { count } } }',
  'subscription { author_by_pk(id: 1) { name } }',
  'subscription { search_books(args: {search: "e"}) { title } }',
  'mutation { insert_sample_one(object: {big: 1}) { id } }',
]
const queries = fc.constantFrom(
  ...good,
  'subscription { sample_stream(batch_size: 3, cursor: {initial_value: {id: 0}}) { id } }',
  'subscription { sample_stream(batch_size: -3, cursor: {initial_value: {}}) { id } }',
  'subscription ($id: Int!) { author(where: {id: {_eq: $id}}) { name } }',
  'mutation { delete_sample(where: {}) { affected_rows } }',
  'query A { author { id } } query B { author { name } }',
  'subscription { a: author { id } b: author { id } }',
  'subscription { author { nothing } }',
  '{ __schema { types { name } } }',
  `{ ${'author { books { author { books { '.repeat(5)} id ${'} '.repeat(20)} }`,
  '{ a '.repeat(3_000),
  '',
  '{',
  'fragment F on author { ...F } { author { ...F } }',
)
const ids = fc.oneof(
  fc.nat({ max: 30 }).map(String),
  fc.constantFrom('', '__proto__', 'constructor'),
  fc.string({ maxLength: 8 }),
)
const payloads = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom(...good).map((query) => ({ query })) },
  {
    weight: 8,
    arbitrary: fc.record(
      { query: queries, variables: fc.constantFrom({}, { id: 1 }, { id: 'x' }, { id: null }, null) },
      { requiredKeys: ['query'] },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        query: fc.oneof(queries, fc.string(), fc.jsonValue()),
        variables: fc.jsonValue(),
        operationName: fc.constantFrom('A', 'B', 'C', 7),
      },
      { requiredKeys: [] },
    ),
  },
  { weight: 1, arbitrary: fc.jsonValue() },
)
const starts = fc.record({ type: fc.constantFrom('start', 'subscribe'), id: ids, payload: payloads })
const stops = fc.record({ type: fc.constantFrom('stop', 'complete'), id: ids })
const controls = fc.constantFrom<unknown>(
  { type: 'ping' },
  { type: 'ping', payload: { deep: [[[]]] } },
  { type: 'pong' },
  { type: 'pong', payload: null },
)
const messages = fc.oneof(
  { weight: 10, arbitrary: starts.map((message) => JSON.stringify(message)) },
  { weight: 5, arbitrary: stops.map((message) => JSON.stringify(message)) },
  { weight: 3, arbitrary: controls.map((message) => JSON.stringify(message)) },
)
/** What most often ends a socket of the newer protocol comes seldom, lest nothing else be tried. */
const hostile = fc.oneof(
  fc.constant(JSON.stringify(init)),
  fc.constantFrom(
    '{"type":"connection_terminate"}',
    '{"type":"connection_init","payload":7}',
    '[]',
    'null',
    '{}',
    '"',
    '\u0000',
  ),
  fc.string({ unit: 'binary', maxLength: 50 }),
  fc.json(),
  messages.map((text) => text.slice(0, -1)),
  messages.map((text) => text.replace(':', ',')),
  fc.constant(`{"type":"ping","payload":${'['.repeat(5_000)}${']'.repeat(5_000)}}`),
  fc.constant(`{"type":"start","id":"1","payload":{"query":"${'x'.repeat(200_000)}"}}`),
)
const frames = fc.oneof(
  { weight: 30, arbitrary: messages.map((text) => ({ text, isBinary: false })) },
  { weight: 2, arbitrary: messages.map((text) => ({ text, isBinary: true })) },
  { weight: 1, arbitrary: hostile.map((text) => ({ text, isBinary: false })) },
)

describe('the endpoint', () => {
  let library: AnEndpoint

  beforeAll(async () => {
    library = await anEndpoint('pglite')
    await fillLibrary(library)
  })
  afterAll(async () => library.close())

  it.each([newProtocol, oldProtocol])(`stands ${sockets * framesEach} frames of %s`, async (protocol) => {
    const samples = fc.sample(
      fc.tuple(fc.boolean(), fc.array(frames, { minLength: framesEach, maxLength: framesEach })),
      {
        numRuns: sockets,
        seed,
      },
    )
    let heard = 0
    let answers = 0
    for (const [hasInit, each] of samples) {
      const peer = await connectPeer(library.endpoint.url, protocol)
      // Some forget to say who they are.
      if (hasInit || heard % 4 > 0) peer.say(init)
      for (const { text, isBinary } of each) {
        if (peer.socket.readyState !== WebSocket.OPEN) break
        peer.socket.send(isBinary ? Buffer.from(text) : text)
      }
      // Whatever came before has been handled once this is answered.
      if (peer.socket.readyState === WebSocket.OPEN) peer.say({ type: 'ping', payload: { last: heard } })
      const isAnswered = () =>
        peer.heard.some(
          ({ type, payload }) => type === 'pong' && JSON.stringify(payload) === `{"last":${heard}}`,
        )
      await eventually(() => peer.closed !== undefined || isAnswered(), {
        timeoutMs: 20_000,
        what: JSON.stringify(each).slice(0, 5_000),
      })
      const said = JSON.stringify(peer.heard)
      expect(insides.exec(said)?.[0], said.slice(0, 5_000)).toBeUndefined()
      if (peer.closed !== undefined)
        expect([1000, 1007, 1009, 4400, 4403, 4408, 4429]).toContain(peer.closed.code)
      peer.end()
      heard += 1
      answers += peer.heard.filter(({ type }) => type === 'next' || type === 'data').length
    }
    // Most of it was understood.
    expect(answers).toBeGreaterThan(3 * sockets)
    await eventually(() => library.endpoint.subscriptions === 0)
    expect((await library.ask('{ author { id } }')).data?.author).toHaveLength(2)
  })
})

describe('a role', () => {
  let guarded: GuardedOffice

  beforeAll(async () => {
    guarded = await aGuardedOffice('pglite')
  })
  afterAll(async () => guarded.office.close())

  it.each([newProtocol, oldProtocol])('is told nothing hidden in frames of %s', async (protocol) => {
    const { office, askers, schema, stirForeignRows, foreignRows } = guarded
    const before = await foreignRows()
    const start = protocol === newProtocol ? 'subscribe' : 'start'
    let answers = 0
    for (let each = 0; each < roleSockets; each += 1) {
      // The honest first, then some of the others.
      const asker = askers[each < 5 ? each : 5 + ((each * 7) % (askers.length - 5))]!
      const peer = await connectPeer(office.endpoint.url, protocol)
      peer.say({ type: 'connection_init', payload: { headers: asker.headers } })
      const reported = 'subscription { note(order_by: {id: desc}) { id title author { fullName team } } }'
      peer.say({ type: start, id: 'all', payload: { query: reported } })
      for (let frame = 0; frame < framesEach && peer.socket.readyState === WebSocket.OPEN; frame += 1) {
        const number = each * framesEach + frame + 1
        const payload =
          frame % 4 === 3
            ? hostileRequest(asker.schema, number, { beyond: schema })
            : hostileRequest(frame % 8 === 0 ? schema : asker.schema, number, {
                beyond: schema,
                kind: 'subscription',
              })
        peer.say({ type: start, id: String(frame), payload })
      }
      const isAnswered = (last: string) => () =>
        peer.closed !== undefined ||
        peer.heard.some(
          ({ type, payload }) => type === 'pong' && JSON.stringify(payload) === `{"last":"${last}"}`,
        )
      const answersAll = async (last: string): Promise<void> => {
        if (peer.socket.readyState === WebSocket.OPEN) peer.say({ type: 'ping', payload: { last } })
        await eventually(isAnswered(last), { timeoutMs: 20_000, what: `seeds from ${each * framesEach + 1}` })
      }
      await answersAll('started')
      // Whoever follows looks again, at rows that have changed and are none of theirs.
      await stirForeignRows()
      await answersAll('stirred')
      const said = JSON.stringify(peer.heard)
      expect(asker.hears(said), `${asker.name}: ${said.slice(0, 5_000)}`).toBeUndefined()
      expect(insides.exec(said)?.[0], said.slice(0, 5_000)).toBeUndefined()
      answers += peer.heard.filter(({ type }) => type === 'next' || type === 'data').length
      peer.end()
    }
    expect(answers).toBeGreaterThan(3 * roleSockets)
    await eventually(() => office.endpoint.subscriptions === 0)
    // The stirring counts up one column.
    const withoutNumbers = (text: string): string => text.replaceAll(/"edited_by": ?\d+/g, '')
    expect(withoutNumbers(await foreignRows())).toBe(withoutNumbers(before))
  })
})
