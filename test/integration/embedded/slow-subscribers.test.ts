/** Clients that ask for more than they read: they cost a bounded share of memory, and nobody else their service. */
import { afterAll, beforeAll, expect, it } from 'vitest'

import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { anEndpoint } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import { connectPeer, init, newProtocol } from '../../support/socket-peer.ts'

let library: AnEndpoint
const many = 60
const large = 200_000

beforeAll(async () => {
  library = await anEndpoint('pglite')
  await library.ask(`mutation { insert_sample_one(object: {words: []}) { id } }`)
})
afterAll(async () => library.close())

const write = (text: string) =>
  library.ask(
    'mutation ($text: String!) { update_sample(where: {}, _set: {select: $text}) { affected_rows } }',
    { text },
  )
const marked = (mark: number) => `${mark}${'x'.repeat(large)}`

it('skips states for who does not read, and tells the newest once it does', async () => {
  const slow = await connectPeer(library.endpoint.url, newProtocol)
  slow.say(init)
  slow.say({ type: 'subscribe', id: 'a', payload: { query: 'subscription { sample { select } }' } })
  await slow.hears('next')
  slow.socket.pause()
  const quick = library.follow('subscription { sample { select } }')
  for (let mark = 1; mark <= many; mark += 1) await write(marked(mark))
  const lastOf = (answer: unknown) => JSON.stringify(answer).includes(`"${many}x`)
  await eventually(() => lastOf(quick.answers.at(-1)))
  slow.socket.resume()
  await eventually(() => slow.heard.some(lastOf), { timeoutMs: 15_000 })
  // What the kernel's buffers hold is out of our hands; the rest was skipped.
  expect(slow.heard.filter(({ type }) => type === 'next').length).toBeLessThan(many)
  slow.end()
  quick.stop()
})

it('does not answer on and on who does not read', async () => {
  await write(marked(0))
  const greedy = await connectPeer(library.endpoint.url, newProtocol)
  greedy.say(init)
  await greedy.hears('connection_ack')
  greedy.socket.pause()
  const query = `{ ${Array.from({ length: 10 }, (_, index) => `a${index}: sample { select }`).join(' ')} }`
  for (let index = 0; index < many; index += 1)
    greedy.say({ type: 'subscribe', id: `${index}`, payload: { query } })
  // Others are served meanwhile.
  expect((await library.ask('{ sample_aggregate { aggregate { count } } }')).data).toBeDefined()
  greedy.socket.resume()
  await greedy.hears('complete', many)
  greedy.end()
})

it('refuses more operations than a socket may have', async () => {
  const peer = await connectPeer(library.endpoint.url, newProtocol)
  peer.say(init)
  const most = 4_000
  for (let index = 0; index <= most; index += 1) {
    peer.say({ type: 'subscribe', id: `${index}`, payload: { query: 'subscription { __typename }' } })
  }
  const [refusal] = await peer.hears('error')
  expect(refusal).toMatchObject({
    id: `${most}`,
    payload: [{ message: `a connection has at most ${most} operations` }],
  })
  peer.end()
  await eventually(() => library.endpoint.subscriptions === 0)
})
