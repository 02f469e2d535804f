/** The query language, case by case, on each kind of database, over HTTP and over both protocols of a socket. */
import { buildClientSchema, getIntrospectionQuery } from 'graphql'
import type { IntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { AnEndpoint } from '../../../support/an-endpoint.ts'
import { adminSecret, anEndpoint, databaseKinds } from '../../../support/an-endpoint.ts'
import { stringifiedValues } from './cases/values.ts'
import { groups } from './groups.ts'
import { seed } from './seed.ts'
import type { Transport } from './transports.ts'
import { overHttp, overSocket } from './transports.ts'
import { faultOf } from './verdict.ts'

it('has cases enough, and none twice', () => {
  const all = [...Object.entries(groups), ['stringified', stringifiedValues] as const].flatMap(
    ([group, cases]) => cases.map(({ shows }) => `${group}: ${shows}`),
  )
  expect(new Set(all).size).toBe(all.length)
  expect(all.length).toBeGreaterThanOrEqual(300)
  const facts = [...Object.values(groups).flat(), ...stringifiedValues].filter(
    ({ fact }) => fact !== undefined,
  )
  expect(facts.length).toBeGreaterThanOrEqual(100)
})

describe.each(databaseKinds)('on %s', (kind) => {
  let library: AnEndpoint
  let transports: readonly [http: Transport, newer: Transport, older: Transport]
  let isFresh = false

  const fresh = async (): Promise<void> => {
    if (isFresh) return
    expect(await library.ask(seed.query, seed.variables)).not.toHaveProperty('errors')
    isFresh = true
  }
  beforeAll(async () => {
    library = await anEndpoint(kind)
    const target = { url: library.endpoint.url, adminSecret }
    transports = [
      overHttp(target),
      await overSocket(target, 'graphql-transport-ws'),
      await overSocket(target, 'graphql-ws'),
    ]
  })
  afterAll(async () => {
    for (const each of transports) each.close()
    await library.close()
  })

  for (const [group, cases] of Object.entries(groups)) {
    describe(group, () => {
      it.each(cases.map((each, place) => ({ ...each, place })))('$shows', async (each) => {
        const isWrite = each.query.includes('mutation') && each.refusal === undefined
        const [http, newer, older] = transports
        // Each write costs a seed: it goes over one of the sockets in turn, what changes nothing over both.
        const sockets = !isWrite ? [newer, older] : [each.place % 2 === 0 ? newer : older]
        for (const transport of [http, ...sockets]) {
          await fresh()
          isFresh = !isWrite
          expect(faultOf(each, await transport.ask(each)), transport.name).toBeUndefined()
        }
      })
    })
  }

  it('answers a batch in order, each part for itself', async () => {
    await fresh()
    const text = await library.askText(
      JSON.stringify([
        { query: '{ author_by_pk(id: 1) { name } }' },
        { query: '{ none }' },
        { query: 'query ($i: Int!) { author_by_pk(id: $i) { name } }', variables: { i: 2 } },
      ]),
    )
    expect(JSON.parse(text)).toMatchObject([
      { data: { author_by_pk: { name: 'Austen' } } },
      { errors: [{ extensions: { code: 'validation-failed', path: '$.selectionSet.none' } }] },
      { data: { author_by_pk: { name: 'Herbert' } } },
    ])
    expect(await library.askText('[]')).toBe('[]')
  })

  it('describes itself so that a client can be built', async () => {
    const { data } = await library.ask(getIntrospectionQuery({ inputValueDeprecation: true }))
    const schema = buildClientSchema(data as unknown as IntrospectionQuery)
    expect(schema.getMutationType()?.getFields()).toHaveProperty('insert_shelf_one')
  })

  it('describes the fleet too', async () => {
    const projectDir = new URL('../../../../config/hasura', import.meta.url).pathname
    const fleet = await anEndpoint(kind, { projectDir })
    try {
      const { data } = await fleet.ask(getIntrospectionQuery())
      const schema = buildClientSchema(data as unknown as IntrospectionQuery)
      expect(schema.getType('query_root')).toBeDefined()
    } finally {
      await fleet.close()
    }
  })

  it('writes big numbers as text where that is wanted', async () => {
    const text = await anEndpoint(kind, { stringifyNumerics: true })
    try {
      await text.ask(seed.query, seed.variables)
      for (const each of stringifiedValues) {
        expect(faultOf(each, { answer: await text.ask(each.query), text: '' })).toBeUndefined()
      }
    } finally {
      await text.close()
    }
  })
})
