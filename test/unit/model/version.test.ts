import fc from 'fast-check'
import { expect, test } from 'vitest'

import { isSameVersion } from '../../../src/model/version.ts'

const number = fc.nat({ max: 1000 }).map(String)
const identifier = fc
  .stringMatching(/^[0-9A-Za-z-]{1,6}$/)
  .filter((text) => !/^0\d+$/.test(text) && text.length > 0)
const identifiers = fc.array(identifier, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'))
const build = fc.option(fc.array(fc.stringMatching(/^[0-9A-Za-z-]{1,6}$/), { minLength: 1, maxLength: 2 }))
const semantic = fc.record({
  core: fc.tuple(number, number, number).map((parts) => parts.join('.')),
  pre: fc.option(identifiers),
})
type Semantic = typeof semantic extends fc.Arbitrary<infer T> ? T : never
const written = ({ core, pre }: Semantic, prefix: string, metadata: readonly string[] | null): string =>
  `${prefix}${core}${pre === null ? '' : `-${pre}`}${metadata === null ? '' : `+${metadata.join('.')}`}`
const prefix = fc.constantFrom('', 'v')

test('two writings of one semantic version are one', () => {
  fc.assert(
    fc.property(semantic, prefix, prefix, build, build, (version, p1, p2, b1, b2) => {
      expect(isSameVersion(written(version, p1, b1), written(version, p2, b2))).toBe(true)
    }),
  )
})

test('semantic versions that differ in core or pre-release are two', () => {
  // Few values, so that alike and unlike ones meet often.
  const few = fc.record({
    core: fc.constantFrom('1.0.0', '1.0.1', '10.0.0'),
    pre: fc.constantFrom(null, 'rc.1', 'rc.10', 'rc1', '1', '0', 'RC.1'),
  })
  fc.assert(
    fc.property(few, few, prefix, prefix, build, build, (one, other, p1, p2, b1, b2) => {
      const isOne = one.core === other.core && one.pre === other.pre
      expect(isSameVersion(written(one, p1, b1), written(other, p2, b2))).toBe(isOne)
    }),
  )
})

test('any other text is only itself', () => {
  const loose = fc.constantFrom(
    ...['1.0', '1.0.0', 'v1.0', '1', '01.0.0', '1.0.0-01', '1.0.0-01+a', '1.0.0-01+b', 'V1.0.0', '1.0.0+'],
    ...['nightly', 'nightly+1', '1.0.0-', '1.0.0-a..b', '1.0.0 ', '1.0.0+a_b', '', 'v', 'commit-5d6ef3'],
  )
  fc.assert(
    fc.property(loose, loose, (one, other) => {
      expect(isSameVersion(one, other)).toBe(one === other)
    }),
    { numRuns: 1000 },
  )
})

test('it is an equivalence, whatever texts are given', () => {
  const text = fc.oneof(
    fc.string(),
    fc.tuple(semantic, prefix, build).map((parts) => written(...parts)),
    fc.constantFrom('1.0.0', 'v1.0.0', '1.0.0+a', '1.0.0-01', '1.0.0-1'),
  )
  fc.assert(
    fc.property(text, text, text, (one, other, third) => {
      expect(isSameVersion(one, one)).toBe(true)
      expect(isSameVersion(one, other)).toBe(isSameVersion(other, one))
      if (isSameVersion(one, other) && isSameVersion(other, third))
        expect(isSameVersion(one, third)).toBe(true)
    }),
  )
})

test('a hostile text costs no more than its length', () => {
  const startedAt = process.cpuUsage().user
  for (const text of [`1.0.0-${'0'.repeat(50_000)}!`, `1.0.0-${'1.'.repeat(50_000)}!`]) {
    expect(isSameVersion(text, '1.0.0')).toBe(false)
  }
  expect(process.cpuUsage().user - startedAt).toBeLessThan(1_000_000)
})
