import { parseValue } from 'graphql'
import { describe, expect, it } from 'vitest'

import { isExactNumber, jsonOfLiteral, parseExactJson } from '../../../../src/embedded/schema/exact-json.ts'

describe('JSON with exact numbers', () => {
  it.each([
    '{"a":9223372036854775807,"b":[-12345678901234567890]}',
    '[0.12345678901234567890,1e400,123456789012345680000]',
    '{"text":"9223372036854775807"}',
    '[0.30000000000000004,1,true,null]',
  ])('writes %s as it was read', (text) => {
    expect(JSON.stringify(parseExactJson(text))).toBe(text)
  })

  it('keeps numbers that fit as numbers', () => {
    expect(parseExactJson('[9223372036854775807, 42, 0.30000000000000004]')).toEqual([
      expect.anything(),
      42,
      0.30000000000000004,
    ])
    expect(isExactNumber((parseExactJson('[9223372036854775807]') as unknown[])[0])).toBe(true)
  })

  it('refuses what is no JSON', () => {
    expect(() => parseExactJson('{"a":12345678901234567890')).toThrow(SyntaxError)
    expect(() => parseExactJson('')).toThrow(SyntaxError)
  })
})

describe('a literal of the query language', () => {
  it('is the JSON that it looks like, with its variables filled in', () => {
    const literal = parseValue(
      '{n: 9223372036854775807, list: [1.50, "x", E, true, null, $v, $none], __proto__: 1}',
      {},
    )
    expect(JSON.stringify(jsonOfLiteral(literal, { v: { deep: 1 } }))).toBe(
      '{"n":9223372036854775807,"list":[1.50,"x","E",true,null,{"deep":1},null],"__proto__":1}',
    )
  })
})
