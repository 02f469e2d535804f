import { expect, test } from 'vitest'

import { transportWs } from '../../../../src/embedded/server/transport-ws.ts'

const protocol = transportWs(4403)

test.each([
  ['{"type":"ping"}', { kind: 'ping', payload: undefined }],
  ['{"type":"ping","payload":{"n":1}}', { kind: 'ping', payload: { n: 1 } }],
  ['{"type":"pong"}', { kind: 'pong' }],
  ['{"type":"connection_init"}', { kind: 'init', payload: {} }],
  ['{"type":"complete","id":"1"}', { kind: 'stop', id: '1' }],
])('%s is read, whether or not it bears a payload', (text, message) => {
  expect(protocol.read(text)).toEqual(message)
})

test.each(['{"type":"subscribe"}', '{"type":"other"}', '[]', 'no JSON'])('%s is not', (text) => {
  expect(protocol.read(text)).toBeUndefined()
})
