import { describe, expect, it } from 'vitest'
import type { WebSocket } from 'ws'

import { createOutbox } from '../../../../src/embedded/server/outbox.ts'
import { TestClock } from '../../../support/test-clock.ts'

const mebi = 1024 * 1024

/** A socket whose client reads only when it is told to. */
function aSocket() {
  const written: (() => void)[] = []
  const socket = {
    OPEN: 1,
    readyState: 1,
    bufferedAmount: 0,
    sent: 0,
    isTerminated: false,
    send: (text: string, callback: () => void) => {
      socket.sent += 1
      socket.bufferedAmount += text.length
      written.push(callback)
    },
    terminate: () => (socket.isTerminated = true),
    read: () => {
      socket.bufferedAmount = 0
      for (const callback of written.splice(0)) callback()
    },
  }
  return socket
}
const outboxOf = (socket: ReturnType<typeof aSocket>, clock: TestClock) =>
  createOutbox(socket as unknown as WebSocket, clock)

describe('an outbox', () => {
  it('is behind while much waits, and tells when it is not', async () => {
    const socket = aSocket()
    const outbox = outboxOf(socket, new TestClock())
    await outbox.drained()
    outbox.send('x'.repeat(2 * mebi))
    expect(outbox.isBehind()).toBe(true)
    let isDrained = false
    const drained = outbox.drained().then(() => (isDrained = true))
    await Promise.resolve()
    expect(isDrained).toBe(false)
    socket.read()
    await drained
    expect(outbox.isBehind()).toBe(false)
  })

  it('sends one message whatever its size, and gives up a reader for whom too much waits', () => {
    const socket = aSocket()
    const outbox = outboxOf(socket, new TestClock())
    outbox.send('x'.repeat(17 * mebi))
    expect(socket.isTerminated).toBe(false)
    outbox.send('x')
    expect([socket.sent, socket.isTerminated]).toEqual([1, true])
  })

  it('gives up a reader who stays behind for long, but not one who reads', async () => {
    const clock = new TestClock()
    const [idle, slow] = [aSocket(), aSocket()]
    for (const socket of [idle, slow]) outboxOf(socket, clock).send('x'.repeat(2 * mebi))
    await clock.advance(20_000)
    slow.read()
    await clock.advance(20_000)
    expect([idle.isTerminated, slow.isTerminated]).toEqual([true, false])
  })

  it('keeps nobody waiting once its socket has ended', async () => {
    const clock = new TestClock()
    const socket = aSocket()
    const outbox = outboxOf(socket, clock)
    outbox.send('x'.repeat(2 * mebi))
    const drained = outbox.drained()
    outbox.stop()
    await drained
    expect(clock.pending).toBe(0)
  })
})
