import { describe, expect, it } from 'vitest'

import type { RegionRows } from '../../../src/store/fleet-store.ts'
import { Mirror } from '../../../src/store/mirror.ts'
import { aHost, aRegion } from '../../support/factories.ts'
import { settle, TestClock } from '../../support/test-clock.ts'

function aMirror(): Mirror {
  const mirror = new Mirror({
    clock: new TestClock(),
    lastHeard: () => undefined,
    waitingUsers: () => 0,
  })
  mirror.apply({ regions: [aRegion()] })
  return mirror
}

const rowsOf = (...hostIds: readonly string[]): RegionRows => ({
  region: aRegion(),
  images: [],
  hosts: hostIds.map((id) => aHost({ id })),
  agents: [],
  blocked_offerings: [],
  rollouts: [],
  versions: [],
})

/** A read of what `database` holds when it is asked; its answer arrives when the test says so. */
function aRead(database: ReadonlySet<string>) {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  return {
    read: async () => {
      const rows = rowsOf(...database)
      await promise
      return rows
    },
    answer: () => resolve(undefined),
  }
}

const hostsOf = (mirror: Mirror) => mirror.snapshot('test/one')?.hosts.map((host) => host.id)

describe('two rebuilds of a region at once', () => {
  it('do not lose a host that came between their reads: it would be launched a second time', async () => {
    const mirror = aMirror()
    const database = new Set<string>()
    const [timer, refusal] = [aRead(database), aRead(database)]
    const first = mirror.rebuild('test/one', timer.read)
    await settle()
    database.add('new')
    mirror.apply({ hosts: [aHost({ id: 'new', status: 'LAUNCHING' })] })
    const second = mirror.rebuild('test/one', refusal.read)
    timer.answer()
    await first
    expect(hostsOf(mirror)).toEqual(['new'])
    refusal.answer()
    await second
    expect(hostsOf(mirror)).toEqual(['new'])
  })

  it('do not bring back a row that was deleted during the later one', async () => {
    const mirror = aMirror()
    const database = new Set(['old'])
    mirror.apply({ hosts: [aHost({ id: 'old' })] })
    const [timer, refusal] = [aRead(database), aRead(database)]
    const first = mirror.rebuild('test/one', timer.read)
    const second = mirror.rebuild('test/one', refusal.read)
    await settle()
    database.delete('old')
    mirror.apply({}, { hosts: ['old'] })
    timer.answer()
    await first
    refusal.answer()
    await second
    expect(hostsOf(mirror)).toEqual([])
  })

  it('are not held up by one that failed', async () => {
    const mirror = aMirror()
    const failed = mirror.rebuild('test/one', () => Promise.reject(new Error('away')))
    const next = mirror.rebuild('test/one', async () => rowsOf('h1'))
    await expect(failed).rejects.toThrow('away')
    await next
    expect(hostsOf(mirror)).toEqual(['h1'])
  })
})

it('hears of a channel whose version is deleted and set anew', () => {
  const mirror = aMirror()
  const version = (text: string, revision: number) => ({ id: 'default', version: text, revision })
  mirror.apply({ versions: [version('v1', 5)] })
  mirror.apply({}, { versions: ['default'] })
  expect(mirror.snapshot('test/one')?.channelVersion).toBeUndefined()
  // An answer from before its end.
  mirror.apply({ versions: [version('v1', 5)] })
  expect(mirror.snapshot('test/one')?.channelVersion).toBeUndefined()
  expect(mirror.apply({ versions: [version('v2', 6)] })).toEqual(new Set(['test/one']))
  expect(mirror.snapshot('test/one')?.channelVersion).toBe('v2')
})
