/** Programs of others, written for Hasura: their own clients, as their documentation says to use them. */
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client/core'
import { GraphQLWsLink } from '@apollo/client/link/subscriptions'
import { WebSocketLink } from '@apollo/client/link/ws'
import { OperationTypeNode } from 'graphql'
import { createClient } from 'graphql-ws'
import { SubscriptionClient } from 'subscriptions-transport-ws'
import type { ClientOptions } from 'subscriptions-transport-ws'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import WebSocket from 'ws'

import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { adminSecret, anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import { emptyLibrary, fillLibrary } from '../../support/library.ts'

const headers = { 'x-hasura-admin-secret': adminSecret }
const names = 'subscription Names { author(order_by: {id: asc}) { name } }'
const rename =
  'mutation Rename($name: String!) { update_author_by_pk(pk_columns: {id: 2}, _set: {name: $name}) { id name } }'
const namedNow = (name: string) => ({ author: [{ name: 'Austen' }, { name }] })

describe.each(databaseKinds)('on %s', (kind) => {
  let library: AnEndpoint
  const closers: (() => unknown)[] = []
  const socketUrl = () => library.endpoint.url.replace('http', 'ws')
  const oldClient = ({ secret = adminSecret, ...options }: ClientOptions & { secret?: string } = {}) => {
    const connectionParams = { headers: { 'x-hasura-admin-secret': secret } }
    const client = new SubscriptionClient(socketUrl(), { ...options, connectionParams }, WebSocket)
    closers.push(() => client.close(true))
    return client
  }
  const newClient = () => {
    const client = createClient({ url: socketUrl(), webSocketImpl: WebSocket, connectionParams: { headers } })
    closers.push(() => client.dispose())
    return client
  }
  /** Everything that an observable of any kind gives. */
  const collect = (observable: { subscribe(observer: object): { unsubscribe(): void } }) => {
    const told: unknown[] = []
    const ends: unknown[] = []
    const subscription = observable.subscribe({
      next: ({ data, errors }: { data?: unknown; errors?: unknown }) => told.push(data ?? errors),
      error: (error: unknown) => ends.push(error),
      complete: () => ends.push('complete'),
    })
    const unsubscribe = () => subscription.unsubscribe()
    closers.push(unsubscribe)
    return { told, ends, unsubscribe }
  }

  beforeAll(async () => {
    library = await anEndpoint(kind)
  })
  beforeEach(async () => {
    await emptyLibrary(library)
    await fillLibrary(library)
  })
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  afterAll(async () => library.close())

  it('serves subscriptions-transport-ws: live queries, queries, mutations, errors and streams', async () => {
    const client = oldClient()
    const live = collect(client.request({ query: names }))
    await eventually(() => live.told.length === 1)
    const mutation = collect(client.request({ query: rename, variables: { name: 'Frank' } }))
    await eventually(() => live.told.length === 2)
    expect(live.told).toEqual([namedNow('Herbert'), namedNow('Frank')])
    await eventually(() => mutation.ends.length === 1)
    expect(mutation).toMatchObject({
      told: [{ update_author_by_pk: { id: 2, name: 'Frank' } }],
      ends: ['complete'],
    })
    const refused = collect(client.request({ query: '{ nothing }' }))
    await eventually(() => refused.ends.length > 0)
    expect(refused.ends[0]).toMatchObject({
      extensions: { code: 'validation-failed', path: '$.selectionSet.nothing' },
    })
    const violated = collect(client.request({ query: rename, variables: { name: 'Austen' } }))
    await eventually(() => violated.ends.length > 0)
    expect(violated.told).toMatchObject([[{ extensions: { code: 'constraint-violation' } }]])
    const stream = collect(
      client.request({
        query: `subscription { books_stream: book_stream(batch_size: 2, cursor: {initial_value: {isbn: "0"}}) { isbn } }`,
      }),
    )
    await eventually(() => stream.told.length === 2)
    expect(stream.told).toEqual([
      { books_stream: [{ isbn: '1' }, { isbn: '2' }] },
      { books_stream: [{ isbn: '3' }, { isbn: '4' }] },
    ])
    live.unsubscribe()
    await library.ask(rename, { name: 'Herbert' })
    const again = collect(client.request({ query: names }))
    await eventually(() => again.told.length === 1)
    expect(live.told).toHaveLength(2)
  })

  it('tells subscriptions-transport-ws what is wrong with its secret', async () => {
    const refusals: unknown[] = []
    const client = oldClient({ secret: 'guess', connectionCallback: (error) => refusals.push(error) })
    const socket = await eventually(() => (client.client as WebSocket | null) ?? undefined)
    const closed = new Promise((resolve) => socket.on('close', resolve))
    expect(await closed).toBe(4400)
    expect(refusals).toEqual(['invalid x-hasura-admin-secret/x-hasura-access-key'])
  })

  it('tells a client that comes again after its socket was cut the whole result', async () => {
    const client = oldClient({ reconnect: true })
    const live = collect(client.request({ query: names }))
    await eventually(() => live.told.length === 1)
    ;(client.client as WebSocket).terminate()
    await eventually(() => live.told.length === 2)
    expect(live.told).toEqual([namedNow('Herbert'), namedNow('Herbert')])
  })

  it.each(['graphql-ws', 'subscriptions-transport-ws'])(
    'serves Apollo Client over %s and fetch',
    async (over) => {
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- those who still speak the older protocol use it
      const link = over === 'graphql-ws' ? new GraphQLWsLink(newClient()) : new WebSocketLink(oldClient())
      const apollo = new ApolloClient({
        cache: new InMemoryCache(),
        link: ApolloLink.split(
          ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
          link,
          new HttpLink({ uri: library.endpoint.url, headers }),
        ),
      })
      closers.push(() => apollo.stop())
      const live = collect(apollo.subscribe({ query: gql(names) }))
      await eventually(() => live.told.length === 1)
      const mutated = await apollo.mutate({ mutation: gql(rename), variables: { name: 'Frank' } })
      expect(mutated.data).toEqual({ update_author_by_pk: { __typename: 'author', id: 2, name: 'Frank' } })
      await eventually(() => live.told.length === 2)
      // Apollo asks for __typename wherever it can.
      expect(live.told[1]).toEqual({
        author: [
          { __typename: 'author', name: 'Austen' },
          { __typename: 'author', name: 'Frank' },
        ],
      })
      const queried = await apollo.query({
        query: gql('query ($isbn: String!) { book(isbn: $isbn) { title author { name } } }'),
        variables: { isbn: '3' },
      })
      expect(queried.data).toMatchObject({ book: { title: 'Dune', author: { name: 'Frank' } } })
      const failed = apollo.query({ query: gql('{ author { nothing } }'), fetchPolicy: 'no-cache' })
      await expect(failed).rejects.toMatchObject({
        errors: [{ extensions: { code: 'validation-failed' } }],
      })
    },
  )
})
