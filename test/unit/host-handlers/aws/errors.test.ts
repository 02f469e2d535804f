import { describe, expect, it } from 'vitest'

import { ec2Codes, kindOf, launchErrorOf } from '../../../../host-handlers/aws/errors.ts'
import { RateLimiter } from '../../../../host-handlers/aws/rate-limiter.ts'
import { settle, TestClock } from '../../../support/test-clock.ts'

const answered = (name: string, httpStatusCode: number, message = 'words') =>
  Object.assign(new Error(message), { name, $metadata: { httpStatusCode } })

describe('errors of EC2', () => {
  it('are of one kind each', () => {
    const all = Object.values(ec2Codes).flat()
    expect(new Set(all).size).toBe(all.length)
  })

  it.each([
    ['InsufficientInstanceCapacity', 500, 'insufficient-capacity'],
    ['InsufficientHostCapacity', 400, 'insufficient-capacity'],
    ['MaxSpotInstanceCountExceeded', 400, 'quota-exceeded'],
    ['VcpuLimitExceeded', 400, 'quota-exceeded'],
    ['InstanceLimitExceeded', 400, 'quota-exceeded'],
    ['RequestLimitExceeded', 503, 'throttled'],
    ['UnauthorizedOperation', 403, 'unauthorized'],
    ['InvalidAMIID.NotFound', 400, 'invalid-request'],
    ['InvalidAMIID.Unavailable', 400, 'invalid-request'],
    ['IdempotentParameterMismatch', 400, 'invalid-request'],
    ['InternalError', 500, 'unknown'],
    ['Unavailable', 503, 'unknown'],
    ['NeverHeardOf', 500, 'unknown'],
  ])('%s with %i is %s', (code, status, kind) => {
    const error = launchErrorOf(answered(code, status), 'RunInstances')
    expect(error).toMatchObject({ code: kind, providerCode: code, attemptsAtMost: Infinity })
    expect(error.message).toBe(`EC2 answers RunInstances with ${code}: words`)
  })

  it('that nobody has classified pass for three times, and were not carried out', () => {
    expect(kindOf('NeverHeardOf')).toBeUndefined()
    const error = launchErrorOf(answered('NeverHeardOf', 400), 'RunInstances')
    expect(error).toMatchObject({ code: 'transient', attemptsAtMost: 3 })
  })

  it('of the wire are unknown, unless no connection came about', () => {
    const broken = (code: string) => Object.assign(new Error(code), { code })
    expect(launchErrorOf(broken('ECONNREFUSED'), 'RunInstances').code).toBe('transient')
    expect(launchErrorOf(broken('ENOTFOUND'), 'RunInstances').code).toBe('transient')
    for (const code of ['ECONNRESET', 'EPIPE', 'ETIMEDOUT']) {
      expect(launchErrorOf(broken(code), 'RunInstances').code).toBe('unknown')
    }
    // An answer that cannot be parsed bears the status of its head.
    const cut = Object.assign(new Error('XML parse error'), { $metadata: { httpStatusCode: 200 } })
    expect(launchErrorOf(cut, 'RunInstances').code).toBe('unknown')
    expect(launchErrorOf('nonsense', 'RunInstances').code).toBe('unknown')
  })

  it('do not carry what only AWS can read', () => {
    const message = 'You may not. Encoded authorization failure message: AbC0123'
    const error = launchErrorOf(answered('UnauthorizedOperation', 403, message), 'RunInstances')
    expect(error.message).toBe('EC2 answers RunInstances with UnauthorizedOperation: You may not.')
  })
})

describe('the limiter', () => {
  const admitAll = (limiter: RateLimiter, count: number) => {
    let admitted = 0
    const { signal } = new AbortController()
    for (let index = 0; index < count; index += 1) {
      void limiter.admit('run', signal).then(() => (admitted += 1))
    }
    return () => admitted
  }

  it('lets a burst through and holds the rest to the rate', async () => {
    const clock = new TestClock()
    const admitted = admitAll(new RateLimiter(clock), 9)
    await settle()
    expect(admitted()).toBe(5)
    await clock.advance(1000)
    expect(admitted()).toBe(7)
    await clock.advance(1000)
    expect(admitted()).toBe(9)
  })

  it('holds all back once one was throttled, longer each time, until an answer comes', async () => {
    const clock = new TestClock()
    const limiter = new RateLimiter(clock, () => 0)
    limiter.throttled()
    limiter.throttled()
    const first = admitAll(limiter, 1)
    await clock.advance(999)
    expect(first()).toBe(0)
    await clock.advance(1)
    expect(first()).toBe(1)
    limiter.throttled()
    const second = admitAll(limiter, 1)
    await clock.advance(1999)
    expect(second()).toBe(0)
    await clock.advance(1)
    expect(second()).toBe(1)
    limiter.answered()
    limiter.throttled()
    const third = admitAll(limiter, 1)
    await clock.advance(1000)
    expect(third()).toBe(1)
  })

  it('lets go of who is aborted', async () => {
    const limiter = new RateLimiter(new TestClock(), () => 0)
    limiter.throttled()
    const stopping = new AbortController()
    const waiting = limiter.admit('read', stopping.signal)
    stopping.abort(new Error('stopping'))
    await expect(waiting).rejects.toThrow('stopping')
  })
})
