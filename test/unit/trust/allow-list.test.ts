import { beforeEach, describe, expect, it } from 'vitest'

import type { AllowedCertificate } from '../../../src/trust/allow-list.ts'
import { AllowList } from '../../../src/trust/allow-list.ts'
import { TestClock } from '../../support/test-clock.ts'

let clock: TestClock
let list: AllowList
beforeEach(() => {
  clock = new TestClock(0)
  list = new AllowList(clock)
})

const a = (change: Partial<AllowedCertificate> = {}): AllowedCertificate => ({
  serial: 'a',
  backendId: 'h-1',
  notAfter: 1000,
  ...change,
})
const b = a({ serial: 'b', backendId: 'h-2' })

describe('AllowList', () => {
  it('lets nobody in before it was loaded, then those that it names', () => {
    list.apply([a()])
    expect([list.isTrusted, list.lookup('a')]).toEqual([false, 'not-loaded'])
    list.replace([a()])
    expect([list.isTrusted, list.lookup('a'), list.lookup('b')]).toEqual([true, a(), 'unknown'])
    list.replace([b])
    expect([list.lookup('a'), list.lookup('b'), list.size]).toEqual(['unknown', b, 1])
  })

  it('lets nobody in whose time is up, by its end or by a younger certificate', async () => {
    list.replace([a(), a({ serial: 'r', retiresAt: 500 }), a({ serial: 'n', retiresAt: null })])
    await clock.advance(499)
    expect(list.lookup('r')).toMatchObject({ serial: 'r' })
    await clock.advance(1)
    expect([list.lookup('r'), list.lookup('a')]).toEqual(['expired', a()])
    await clock.advance(500)
    expect([list.lookup('a'), list.lookup('n')]).toEqual(['expired', 'expired'])
  })

  it('lets nobody new in while the database is away, and forgets nothing', () => {
    list.replace([a()])
    list.distrust()
    expect([list.lookup('a'), list.get('a')]).toEqual(['not-loaded', a()])
  })

  it('is not trusted by an answer from before the database went away', () => {
    const old = list.reading()
    list.distrust()
    old.replace([a()])
    expect([list.isTrusted, list.get('a')]).toEqual([false, undefined])
    const next = list.reading()
    next.replace([b])
    expect([list.isTrusted, list.lookup('b')]).toEqual([true, b])
  })

  it('tells of what was removed, and of what ends at another time', () => {
    const heard: unknown[] = []
    list.replace([a(), b])
    list.onRemoved((serials) => heard.push(['removed', ...serials]))
    const end = list.listen({
      removed: () => undefined,
      changed: (changed) => heard.push(['changed', ...changed.map(({ serial }) => serial)]),
    })
    list.apply([a({ retiresAt: 7 }), b, a({ serial: 'c' })])
    end()
    list.apply([a({ retiresAt: 8 })], ['b', 'nobody’s'])
    list.removeBackend('h-1')
    list.removeBackend('h-1')
    expect(heard).toEqual([
      ['changed', 'a'],
      ['removed', 'b'],
      ['removed', 'a', 'c'],
    ])
    expect(list.size).toBe(0)
  })

  describe('an answer that was under way', () => {
    it('does not bring back what was revoked meanwhile', () => {
      list.replace([a(), b])
      const [everything, some] = [list.reading(), list.reading()]
      list.remove(['a'])
      list.removeBackend('h-2')
      everything.replace([a(), b])
      some.apply([a(), b])
      expect([list.lookup('a'), list.lookup('b'), list.isTrusted]).toEqual(['unknown', 'unknown', true])
      list.apply([a(), b])
      expect([list.lookup('a'), list.lookup('b')]).toEqual([a(), b])
    })

    it('does not take away what was issued meanwhile', () => {
      list.replace([])
      const [everything, some] = [list.reading(), list.reading()]
      list.apply([a()])
      everything.replace([])
      some.apply([], ['a'])
      expect(list.lookup('a')).toEqual(a())
    })

    it('lets nobody in of a backend of which a later answer says all, and says whom to read again', () => {
      list.replace([])
      const [issued, terminated] = [list.reading(), list.reading()]
      terminated.apply([], [], ['h-1'])
      expect([issued.apply([a()]), list.lookup('a')]).toEqual([['a'], 'unknown'])
    })

    it('says whom to read again when everything was read since', () => {
      const issued = list.reading()
      list.replace([])
      expect([issued.apply([a()]), list.lookup('a')]).toEqual([['a'], 'unknown'])
    })

    it('says whom to read again when an earlier answer let somebody in whom it does not name, and takes no right', () => {
      list.replace([b])
      const [issued, everything] = [list.reading(), list.reading()]
      issued.apply([a()])
      expect([everything.replace([]), list.lookup('a'), list.lookup('b')]).toEqual([['a'], a(), 'unknown'])
    })

    it('takes rights and lets nobody in while changes are not heard', () => {
      list.replace([a()])
      list.distrust()
      list.reading().replace([b], false)
      expect([list.lookup('b'), list.get('a'), list.isTrusted]).toEqual(['not-loaded', undefined, false])
    })

    it('does not stand against one that was asked later and answered first', () => {
      list.replace([a()])
      const [older, younger] = [list.reading(), list.reading()]
      younger.replace([b])
      older.replace([a()])
      expect([list.lookup('a'), list.lookup('b')]).toEqual(['unknown', b])
      const [before, after] = [list.reading(), list.reading()]
      before.apply([a()])
      after.apply([], ['a'])
      expect(list.lookup('a')).toBe('unknown')
    })
  })
})
