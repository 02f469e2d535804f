import { describe, expect, it } from 'vitest'

import { HasuraError } from '../../../../src/embedded/execution/hasura-error.ts'
import { apolloWs } from '../../../../src/embedded/server/apollo-ws.ts'
import { closeReason } from '../../../../src/embedded/server/socket-protocol.ts'
import { transportWs } from '../../../../src/embedded/server/transport-ws.ts'

const error = new HasuraError('start-failed', 'no', '$.a')
const payload = { message: 'no', extensions: { path: '$.a', code: 'start-failed' } }
const parsed = (text: string): unknown => JSON.parse(text)

describe('the reason of a close frame', () => {
  it('is as the engine writes it', () => {
    expect(closeReason(4400, 'why')).toBe('{"server_error_msg":"4400: why"}')
  })

  it.each(['x'.repeat(500), 'é'.repeat(100), '"\\\n'.repeat(60), '😀'.repeat(90)])(
    'fits into a frame and stays JSON',
    (words) => {
      const reason = closeReason(4400, words)
      expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123)
      expect(parsed(reason)).toEqual({ server_error_msg: expect.stringMatching(/^4400: /) as string })
    },
  )
})

describe('the older protocol', () => {
  it('has a shape for each failure', () => {
    expect(parsed(apolloWs.startFailed('1', error))).toEqual({ type: 'error', id: '1', payload })
    expect(parsed(apolloWs.refused('1', error))).toEqual({
      type: 'error',
      id: '1',
      payload: { errors: [payload] },
    })
    expect(parsed(apolloWs.failed('1', error))).toEqual({
      type: 'data',
      id: '1',
      payload: { errors: [payload] },
    })
    expect(apolloWs.unauthorized(error)).toEqual({
      message: '{"type":"connection_error","payload":"no"}',
      code: 4400,
      reason: '{"server_error_msg":"4400: Connection initialization failed: no"}',
    })
    expect(apolloWs.unreadable('why')).toBe(
      '{"type":"connection_error","payload":"parsing ClientMessage failed: why"}',
    )
  })
})

describe('the newer protocol', () => {
  it('has one shape for failures, a list', () => {
    const protocol = transportWs(4403)
    for (const text of [
      protocol.startFailed('1', error),
      protocol.refused('1', error),
      protocol.failed('1', error),
    ]) {
      expect(parsed(text)).toEqual({ type: 'error', id: '1', payload: [payload] })
    }
  })

  it('closes as the engine of the chosen time', () => {
    expect(transportWs(4403).unauthorized(error)).toEqual({
      code: 4403,
      reason: '{"server_error_msg":"4403: Forbidden"}',
    })
    expect(transportWs(4400).unauthorized(error)).toEqual({
      code: 4400,
      reason: '{"server_error_msg":"4400: Connection initialization failed: no"}',
    })
  })
})
