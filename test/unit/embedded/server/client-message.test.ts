import { expect, test } from 'vitest'

import { readClientMessage } from '../../../../src/embedded/server/client-message.ts'

test.each([
  ['{"type":"ping"}', { kind: 'ping', payload: undefined }],
  ['{"type":"ping","payload":{"n":1}}', { kind: 'ping', payload: { n: 1 } }],
  ['{"type":"pong"}', { kind: 'pong' }],
  ['{"type":"connection_init"}', { kind: 'init', payload: {} }],
  ['{"type":"connection_init","payload":null}', { kind: 'init', payload: {} }],
  ['{"type":"connection_terminate"}', { kind: 'terminate' }],
  [
    '{"type":"subscribe","id":"1","payload":{"query":"{a}"}}',
    { kind: 'start', id: '1', payload: { query: '{a}' } },
  ],
  ['{"type":"start","id":"1"}', { kind: 'start', id: '1', payload: undefined }],
  ['{"type":"complete","id":"1"}', { kind: 'stop', id: '1' }],
  ['{"type":"stop","id":"1"}', { kind: 'stop', id: '1' }],
])('%s is read, in either protocol and whether or not it bears a payload', (text, message) => {
  expect(readClientMessage(text)).toEqual(message)
})

test.each([
  ['no JSON', 'Error in $: not valid JSON'],
  ['[]', 'Error in $: an object with a key "type" is expected'],
  ['null', 'Error in $: an object with a key "type" is expected'],
  ['{"type":1}', 'Error in $: an object with a key "type" is expected'],
  ['{"type":"other"}', 'Error in $.type: unexpected type for ClientMessage'],
])('%s is not: %s', (text, reason) => {
  expect(readClientMessage(text)).toEqual({ kind: 'unreadable', reason })
})

test.each(['{"type":"subscribe"}', '{"type":"stop","id":7}', '{"type":"connection_init","payload":[]}'])(
  '%s is not, and the place is told',
  (text) => {
    const read = readClientMessage(text)
    expect(read).toMatchObject({
      kind: 'unreadable',
      reason: expect.stringMatching(/^Error in \$\.(id|payload): /) as string,
    })
  },
)
