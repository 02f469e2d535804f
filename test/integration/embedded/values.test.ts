import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import type { AnEndpoint, Answer } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { emptyLibrary } from '../../support/library.ts'

const everything = `{
  big small exact double flag at day address unique_id data raw words numbers doubled select
}`
const insert = `mutation ($object: sample_insert_input!) { insert_sample_one(object: $object) ${everything} }`

const inserted = (text: string): unknown => (JSON.parse(text) as Answer).data?.insert_sample_one

describe.each(databaseKinds)('values on %s', (kind) => {
  let library: AnEndpoint
  beforeAll(async () => {
    library = await anEndpoint(kind)
  })
  beforeEach(async () => emptyLibrary(library))
  afterAll(async () => library.close())

  const store = async (object: string): Promise<string> =>
    await library.askText(`{"query":${JSON.stringify(insert)},"variables":{"object":${object}}}`)

  it('keeps every digit of what is given as variables', async () => {
    const text = await store(
      `{
      "big": 4611686018427387903, "small": -7, "exact": 1.23456789012345678901234567890, "double": 0.1, "flag": true,
      "at": "2015-10-17T16:42:43.123456+02:00", "day": "2015-10-17", "address": "198.24.10.0",
      "unique_id": "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
      "data": {"n": 9223372036854775807, "list": [1, null, "\\u00e9\\\\"]}, "raw": [ 1,  2 ],
      "words": ["a,b", "\\"q\\"", "{}", "back\\\\slash", "null"], "numbers": [9223372036854775807, null],
      "select": "'; drop table sample; -- \\\\ $1"
    }`.replace(', null]', ']'),
    )
    expect(text).toContain('"big":4611686018427387903,')
    expect(text).toContain('"exact":1.23456789012345678901234567890,')
    expect(text).toContain('"at":"2015-10-17T14:42:43.123456+00:00"')
    expect(text).toContain('"n": 9223372036854775807')
    expect(text).toContain('"doubled":9223372036854775806')
    expect(inserted(text)).toMatchObject({
      small: -7,
      double: 0.1,
      flag: true,
      day: '2015-10-17',
      address: '198.24.10.0',
      unique_id: 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6',
      data: { list: [1, null, 'é\\'] },
      raw: [1, 2],
      words: ['a,b', '"q"', '{}', 'back\\slash', 'null'],
      select: "'; drop table sample; -- \\ $1",
    })
  })

  it('keeps every digit of what is written in the document', async () => {
    const text = await library.askText(
      JSON.stringify({
        query: `mutation ($n: jsonb) { insert_sample_one(object: {
          big: 4611686018427387903, exact: 0.10000000000000000000000001, words: "one", address: "10.0.0.0/8",
          data: {deep: [{n: 9223372036854775807, x: 1.5, e: NAME, v: $n}], t: true}, numbers: [1, 9223372036854775807]
        }) { big exact words address data numbers } }`,
        variables: { n: [null] },
      }),
    )
    expect(text).toBe(
      '{"data":{"insert_sample_one":{"big":4611686018427387903,"exact":0.10000000000000000000000001,"words":["one"],"address":"10.0.0.0/8","data":{"t": true, "deep": [{"e": "NAME", "n": 9223372036854775807, "v": [null], "x": 1.5}]},"numbers":[1,9223372036854775807]}}}',
    )
  })

  it('takes a bigint as a number or as text, and compares it exactly', async () => {
    await store('{"big": "4611686018427387903"}')
    const find = async (big: string): Promise<unknown> => {
      const query = 'query ($big: bigint!) { sample(where: {big: {_eq: $big}}) { big } }'
      const text = await library.askText(`{"query":${JSON.stringify(query)},"variables":{"big":${big}}}`)
      return (JSON.parse(text) as Answer).data?.sample as unknown
    }
    expect(await find('4611686018427387903')).toHaveLength(1)
    expect(await find('"4611686018427387903"')).toHaveLength(1)
    expect(await find('4611686018427387902')).toHaveLength(0)
  })

  it('tells null in a column from null in jsonb by the column', async () => {
    const text = await store('{"data": null, "words": null, "big": null}')
    expect(inserted(text)).toMatchObject({ data: null, words: null, doubled: null })
    const { data } = await library.ask('{ sample(where: {data: {_is_null: true}}) { id } }')
    expect(data?.sample).toHaveLength(1)
  })

  it('looks into jsonb', async () => {
    await store('{"data": {"a": {"b": [1]}, "c": 1}}')
    const found = async (where: string): Promise<unknown> =>
      (await library.ask(`{ sample(where: {data: {${where}}}) { id } }`)).data?.sample
    expect(await found('_contains: {a: {b: [1]}}')).toHaveLength(1)
    expect(await found('_contained_in: {a: {}}')).toHaveLength(0)
    expect(await found('_has_key: "a"')).toHaveLength(1)
    expect(await found('_has_keys_any: ["x", "c"]')).toHaveLength(1)
    expect(await found('_has_keys_all: ["x", "c"]')).toHaveLength(0)
  })
})

describe.each(databaseKinds)('numbers as text on %s', (kind) => {
  it('writes what a double may not hold as text, and nothing else', async () => {
    const library = await anEndpoint(kind, { stringifyNumerics: true })
    try {
      const { data } = await library.ask(
        `mutation { insert_sample_one(object: {big: 1, small: 2, exact: 1.50, double: 0.5, numbers: [3]}) {
          big small exact double numbers doubled
        } }`,
      )
      expect(data?.insert_sample_one).toEqual({
        big: '1',
        small: 2,
        exact: '1.50',
        double: '0.5',
        numbers: ['3'],
        doubled: '2',
      })
    } finally {
      await library.close()
    }
  })
})
