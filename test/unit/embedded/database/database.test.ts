import { describe, expect, it } from 'vitest'

import { quoteName, quoteText } from '../../../../src/embedded/database/database.ts'
import { createStatementNames } from '../../../../src/embedded/database/statement-names.ts'

describe('quoting', () => {
  it('keeps names and texts what they are', () => {
    expect(quoteName('a"b')).toBe('"a""b"')
    expect(quoteText("it's")).toBe("'it''s'")
    expect(quoteText("\\'")).toBe(" E'\\\\'''")
  })
})

describe('names of prepared statements', () => {
  it('are given to texts seen before, and always the same', () => {
    const nameOf = createStatementNames()
    expect([nameOf('a'), nameOf('b'), nameOf('a'), nameOf('a'), nameOf('b')]).toEqual([
      undefined,
      undefined,
      'muster_1',
      'muster_1',
      'muster_2',
    ])
  })

  it('are bounded in number, and in what they remember', () => {
    const nameOf = createStatementNames(2)
    const texts = Array.from({ length: 100 }, (_, index) => `select ${index}`)
    for (const text of [...texts, ...texts]) nameOf(text)
    const names = new Set(texts.flatMap((text) => [nameOf(text), nameOf(text)]))
    expect(names.size).toBeLessThanOrEqual(3)
    expect(createStatementNames()('x'.repeat(30_000))).toBeUndefined()
  })
})
