import { beforeEach, describe, expect, it } from 'vitest'

import { AllowList } from '../../../src/trust/allow-list.ts'
import type { CloseReason } from '../../../src/trust/connections.ts'
import { Connections } from '../../../src/trust/connections.ts'
import { TestClock } from '../../support/test-clock.ts'

const end = 60 * 86_400_000
const certificate = (serial: string) => ({ serial, backendId: `of-${serial}`, notAfter: end })

let destroyed = 0
class Wire {
  closedFor: CloseReason | undefined
  destroy(reason: CloseReason): void {
    destroyed += 1
    this.closedFor = reason
  }
}

let clock: TestClock
let list: AllowList
let connections: Connections<Wire>
let turns: (() => void)[]
let shared: string[]
beforeEach(() => {
  clock = new TestClock(0)
  list = new AllowList(clock)
  turns = []
  shared = []
  connections = new Connections<Wire>({
    allowList: list,
    clock,
    yieldTurn: (resume) => turns.push(resume),
    onShared: ({ serial }, count) => shared.push(`${serial} by ${count}`),
  })
})

function admitted(serial: string): Wire {
  const wire = new Wire()
  expect(connections.admit(wire, serial)).toMatchObject({ serial })
  return wire
}

describe('Connections', () => {
  it('holds what has a right, and destroys what has none', () => {
    const early = new Wire()
    expect(connections.admit(early, 'a')).toBe('not-loaded')
    list.replace([certificate('a')])
    const [good, bad] = [admitted('a'), new Wire()]
    expect(connections.admit(bad, 'b')).toBe('unknown')
    expect([early.closedFor, good.closedFor, bad.closedFor]).toEqual(['not-loaded', undefined, 'unknown'])
    expect([connections.size, connections.of('a'), connections.has(good)]).toEqual([1, [good], true])
    connections.release(good)
    connections.release(good)
    expect([connections.size, connections.of('a'), connections.has(good), clock.pending]).toEqual([
      0,
      [],
      false,
      0,
    ])
    list.remove(['a'])
    expect(good.closedFor).toBeUndefined()
  })

  it('closes at the end of a certificate that is further away than a timer reaches', async () => {
    // As `systemClock` does it.
    const after = clock.after.bind(clock)
    clock.after = (ms, callback) => after(Math.min(ms, 2 ** 31 - 1), callback)
    list.replace([certificate('a')])
    const wire = admitted('a')
    await clock.advance(end - 1)
    expect(wire.closedFor).toBeUndefined()
    await clock.advance(1)
    expect([wire.closedFor, connections.size, clock.pending]).toEqual(['expired', 0, 0])
  })

  it('closes at once when the certificate goes, or earlier or later when its end is moved', async () => {
    list.replace(['a', 'b', 'c'].map(certificate))
    const [a, b, c] = [admitted('a'), admitted('b'), admitted('c')]
    list.remove(['a'])
    expect(a.closedFor).toBe('removed')
    list.apply([
      { ...certificate('b'), retiresAt: 1000 },
      { ...certificate('c'), retiresAt: 1000 },
    ])
    list.apply([certificate('c')])
    await clock.advance(1000)
    expect([b.closedFor, c.closedFor]).toEqual(['expired', undefined])
    list.apply([{ ...certificate('c'), notAfter: 999 }])
    expect(c.closedFor).toBe('expired')
  })

  it('keeps what is connected while the database is away, but for what ends by itself', async () => {
    list.replace([certificate('a'), { ...certificate('b'), retiresAt: 500 }])
    const [a, b] = [admitted('a'), admitted('b')]
    list.distrust()
    await clock.advance(1000)
    expect([a.closedFor, b.closedFor]).toEqual([undefined, 'expired'])
    list.replace([])
    expect(a.closedFor).toBe('removed')
  })

  it('tells of a certificate that is in use more than once, and closes all that use it', () => {
    list.replace([certificate('a')])
    const wires = [admitted('a'), admitted('a'), admitted('a')]
    expect(shared).toEqual(['a by 2', 'a by 3'])
    connections.release(wires[0]!)
    list.remove(['a'])
    expect(wires.map(({ closedFor }) => closedFor)).toEqual([undefined, 'removed', 'removed'])
  })

  it('closes ten thousand without holding the process, and takes the right from all of them at once', () => {
    const serials = Array.from({ length: 10_000 }, (_, index) => `s${index}`)
    list.replace(serials.map(certificate))
    const wires = serials.map((serial) => {
      const wire = new Wire()
      connections.admit(wire, serial)
      return wire
    })
    destroyed = 0
    list.replace([])
    expect(connections.size).toBe(0)
    expect(wires.some((wire) => connections.has(wire))).toBe(false)
    let most = destroyed
    for (let before = most; turns.length > 0; before = destroyed) {
      expect(turns).toHaveLength(1)
      turns.shift()?.()
      most = Math.max(most, destroyed - before)
    }
    expect([most, destroyed, connections.closing]).toEqual([100, 10_000, 0])
    expect(wires.every(({ closedFor }) => closedFor === 'removed')).toBe(true)
  })

  it('closes in turn what a closing brings about', () => {
    list.replace(['a', 'b'].map(certificate))
    const b = admitted('b')
    const wire = {
      order: [] as string[],
      destroy() {
        list.remove(['b'])
        this.order.push(`b is ${b.closedFor ?? 'open'}`)
      },
    }
    connections.admit(wire as unknown as Wire, 'a')
    list.remove(['a'])
    for (const turn of turns.splice(0)) turn()
    expect([wire.order, b.closedFor, connections.closing]).toEqual([['b is open'], 'removed', 0])
  })

  it('closes the others though one cannot be closed', () => {
    list.replace(['a', 'b'].map(certificate))
    const broken = new Wire()
    broken.destroy = () => {
      throw new Error('as no socket should')
    }
    connections.admit(broken, 'a')
    const b = admitted('b')
    expect(() => list.remove(['a', 'b'])).toThrow('as no socket should')
    for (const turn of turns.splice(0)) turn()
    expect([b.closedFor, connections.size, connections.closing]).toEqual(['removed', 0, 0])
  })

  it('closes all when the daemon stands by', () => {
    list.replace(['a', 'b'].map(certificate))
    const wires = [admitted('a'), admitted('b')]
    connections.closeAll()
    expect(wires.map(({ closedFor }) => closedFor)).toEqual(['standby', 'standby'])
    expect([connections.size, clock.pending]).toEqual([0, 0])
  })
})
