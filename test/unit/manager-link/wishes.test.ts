import { describe, expect, it } from 'vitest'

import { wishesOf } from '../../../src/manager-link/wishes.ts'
import { aHost } from '../../support/factories.ts'

const nobody = () => undefined
const names = (...args: Parameters<typeof wishesOf>) => wishesOf(...args).map((wish) => wish.name)

describe('what the rows ask of a manager', () => {
  it('nothing of a healthy host', () => {
    expect(names(aHost({ agents: ['WAITING', 'RUNNING', 'CONNECTING'] }), nobody)).toEqual([])
  })

  it('a session for each ALLOCATED agent that has not taken it, an end for each DYING one', () => {
    const host = aHost({ agents: ['ALLOCATED', 'DYING', { status: 'ALLOCATED', sessionId: 'taken' }] })
    const sessionOf = (id: string) => (id === 'h1-a3' ? 'taken' : undefined)
    expect(names(host, sessionOf)).toEqual(['start h1-a1', 'stop h1-a2'])
  })

  it('a drain, also of a host that was draining when it fell silent', () => {
    expect(names(aHost({ status: 'DRAINING', agents: ['RUNNING'] }), nobody)).toEqual(['drain'])
    expect(names(aHost({ status: 'UNRESPONSIVE', statusBefore: 'DRAINING' }), nobody)).toEqual(['drain'])
    expect(names(aHost({ status: 'UNRESPONSIVE', statusBefore: 'ACTIVE' }), nobody)).toEqual([])
  })

  it('that its sessions are told of the drain, also when that is wished later', () => {
    const wishes = (notifySessions: boolean) =>
      wishesOf(aHost({ status: 'DRAINING', notifySessions }), nobody)
    expect(wishes(false)[0]!.message).toEqual({ message: 'drain', drain: { notifySessions: false } })
    expect(wishes(true)[0]!.message).toEqual({ message: 'drain', drain: { notifySessions: true } })
    expect(wishes(true)[0]!.name).not.toBe(wishes(false)[0]!.name)
  })

  it('to know when its provider ends the machine, once for each time that was told', () => {
    const host = aHost({ status: 'DRAINING', interruptionAt: 5000, agents: ['RUNNING'] })
    expect(wishesOf(host, nobody)[0]).toEqual({
      name: 'interruption 5000',
      message: { message: 'interruption', interruption: { kind: 'INTERRUPTION', action: '', at: 5000 } },
    })
    expect(names(host, nobody)).toEqual(['interruption 5000', 'drain'])
    expect(names(aHost({ rebalanceAdvisedAt: 5000 }), nobody)).toEqual([])
  })

  it('of a host that ends, only to leave', () => {
    expect(names(aHost({ status: 'TERMINATING', agents: ['DYING', 'ALLOCATED'] }), nobody)).toEqual(['leave'])
  })
})
