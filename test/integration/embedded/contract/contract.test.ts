/** The query language, case by case, on each kind of database, over HTTP and over a socket. */
import { buildClientSchema, getIntrospectionQuery } from 'graphql'
import type { IntrospectionQuery } from 'graphql'
import type { Client } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { AnEndpoint, Answer } from '../../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../../support/an-endpoint.ts'
import type { ContractCase } from './case.ts'
import { aggregates } from './cases/aggregates.ts'
import { changes } from './cases/changes.ts'
import { documents } from './cases/documents.ts'
import { functions } from './cases/functions.ts'
import { inserts } from './cases/inserts.ts'
import { operators } from './cases/operators.ts'
import { selections } from './cases/selections.ts'
import { stringifiedValues, values } from './cases/values.ts'
import { seed } from './seed.ts'

const groups = { operators, selections, documents, aggregates, functions, values, inserts, changes }

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
  let client: Client
  let isFresh = false

  const fresh = async (): Promise<void> => {
    if (isFresh) return
    expect(await library.ask(seed.query, seed.variables)).not.toHaveProperty('errors')
    isFresh = true
  }
  beforeAll(async () => {
    library = await anEndpoint(kind)
    client = library.client()
  })
  afterAll(async () => library.close())

  const overSocket = async ({ query, variables, operationName }: ContractCase): Promise<Answer> =>
    await new Promise((resolve, reject) => {
      let answer: Answer | undefined
      client.subscribe(
        { query, variables: variables ?? null, operationName: operationName ?? null },
        {
          next: (value) => (answer = value as Answer),
          error: (errors) => resolve({ errors: errors as NonNullable<Answer['errors']> }),
          complete: () => (answer === undefined ? reject(new Error('no answer')) : resolve(answer)),
        },
      )
    })

  for (const [group, cases] of Object.entries(groups)) {
    describe(group, () => {
      it.each(cases)('$shows', async (each) => {
        const isWrite = each.query.includes('mutation')
        await fresh()
        isFresh = !isWrite
        const { query, variables, operationName } = each
        const text = await library.askText(JSON.stringify({ query, variables, operationName }))
        expectAnswer(each, JSON.parse(text) as Answer)
        for (const part of each.holds ?? []) expect(text).toContain(part)
        await fresh()
        isFresh = !isWrite
        expectAnswer(each, await overSocket(each))
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
      for (const each of stringifiedValues) expectAnswer(each, await text.ask(each.query))
    } finally {
      await text.close()
    }
  })
})

function expectAnswer({ data, refusal }: ContractCase, answer: Answer): void {
  if (refusal === undefined) {
    expect(answer).toEqual({ data })
    return
  }
  expect(answer).toEqual({
    errors: [
      { message: expect.any(String) as string, extensions: { code: refusal.code, path: refusal.path } },
    ],
  })
  if (refusal.message !== undefined) expect(answer.errors?.[0]?.message).toMatch(refusal.message)
}
