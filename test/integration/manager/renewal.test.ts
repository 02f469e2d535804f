import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { noFaults } from '../../../src/lib/fault-points.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import type { HeldCredentials } from '../../../src/manager/credentials-store.ts'
import { CredentialsStore } from '../../../src/manager/credentials-store.ts'
import type { RenewalOptions } from '../../../src/manager/renewal.ts'
import { Renewal } from '../../../src/manager/renewal.ts'
import { readRequest } from '../../../src/trust/certificate-request.ts'
import type { Authority } from '../../../src/trust/authority.ts'
import { eventually } from '../../support/eventually.ts'
import { anAuthority, FakeTrust } from '../../support/fake-trust.ts'
import { TestClock } from '../../support/test-clock.ts'

const hour = 3_600_000

let authority: Authority
let directory: string
let trust: FakeTrust
let clock: TestClock
let store: CredentialsStore
let first: HeldCredentials
let asked: string[]
let renewed: number

beforeAll(async () => {
  authority = await anAuthority()
})

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-renewal-'))
  clock = new TestClock(Date.now())
  trust = new FakeTrust(authority)
  trust.now = () => clock.now()
  store = new CredentialsStore(directory)
  const { key, csr } = await store.pendingKey('enrolment')
  const { certificate, ca } = await trust.renew(csr)
  await store.write({ key, certificate, ca }, 'redeemed-token')
  first = (await store.read())!
  asked = []
  renewed = 0
})

afterEach(() => rm(directory, { recursive: true, force: true }))

/** As a manager that has just connected has it. */
function connected(credentials = first, kept: RenewalOptions['store'] = store): Renewal {
  const renewal = new Renewal({
    ...{ store: kept, clock, random: () => 0.5, log: silentLogger, fault: noFaults },
    send: (message) => message.message === 'renew' && asked.push(message.renew.csr),
    renewed: () => (renewed += 1),
  })
  renewal.dialled(credentials)
  renewal.welcomed()
  return renewal
}

const keysAsked = () => asked.map((csr) => readRequest(csr).spkiHash)
const asks = (count: number) => eventually(() => asked.length === count, { what: `${count} Renew` })

describe('a renewal', () => {
  it('asks at two thirds of its life, keeps the answer, and has the stream opened anew', async () => {
    const renewal = connected()
    await clock.advance(15.9 * hour)
    expect(asked).toEqual([])
    await clock.advance(0.2 * hour)
    await asks(1)
    await renewal.heard(await trust.renew(asked[0]!))
    const held = await store.read()
    expect(held?.serial).not.toBe(first.serial)
    expect(held?.redeemed).toBe('redeemed-token')
    expect(renewed).toBe(1)
    await renewal.heard(await trust.renew(asked[0]!))
    expect(renewed).toBe(1)
  })

  it('waits for a stream when it is away, then asks at once', async () => {
    const renewal = connected()
    renewal.lost()
    await clock.advance(20 * hour)
    expect(asked).toEqual([])
    renewal.dialled(first)
    renewal.welcomed()
    await clock.advance(0)
    await asks(1)
  })

  it('asks with the same key while no answer comes, also after a crash', async () => {
    const killed = connected()
    await clock.advance(16.1 * hour)
    await asks(1)
    await clock.advance(0.3 * hour)
    await asks(2)
    killed.lost()
    const again = connected(await store.read())
    await clock.advance(0)
    await asks(3)
    expect(new Set(keysAsked()).size).toBe(1)
    await again.heard(await trust.renew(asked[2]!))
    expect((await store.read())?.serial).not.toBe(first.serial)
  })

  it.each([
    ['is refused', () => ({ certificate: '', ca: '', error: 'it may have none' })],
    ['is another’s', () => ({ certificate: first.certificate, ca: first.ca, error: '' })],
    ['cannot be read', () => ({ certificate: 'x', ca: 'y', error: '' })],
  ])('keeps what it has when the answer %s, and asks later with another key', async (_, answer) => {
    const renewal = connected()
    await clock.advance(16.1 * hour)
    await asks(1)
    await renewal.heard(answer())
    expect((await store.read())?.serial).toBe(first.serial)
    expect(renewed).toBe(0)
    await clock.advance(0.5 * hour)
    await asks(2)
    expect(new Set(keysAsked()).size).toBe(2)
    await renewal.heard(await trust.renew(asked[1]!))
    expect(renewed).toBe(1)
  })

  it('asks seldom while it is refused', async () => {
    // In memory, so that time may run.
    const { csr } = await store.pendingKey('any')
    const renewal = connected(first, {
      pendingKey: async () => ({ key: '', csr }),
      forgetPendingKey: async () => undefined,
      write: async () => undefined,
    })
    for (let minutes = 0; minutes < 24 * 60; minutes += 5) {
      const before = asked.length
      await clock.advance(5 * 60_000)
      if (asked.length > before) await renewal.heard({ certificate: '', ca: '', error: 'no' })
    }
    expect(asked.length).toBeGreaterThan(5)
    expect(asked.length).toBeLessThan(20)
  })
})
