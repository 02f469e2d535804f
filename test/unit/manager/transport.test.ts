import { describe, expect, it } from 'vitest'

import { parseDaemonAddress } from '../../../src/manager/daemon-address.ts'

describe('a daemon’s address', () => {
  it.each([
    ['127.0.0.1:7011', { kind: 'tcp', host: '127.0.0.1', port: 7011 }],
    ['muster.example:443', { kind: 'tcp', host: 'muster.example', port: 443 }],
    ['[2001:db8::1]:7011', { kind: 'tcp', host: '2001:db8::1', port: 7011 }],
    ['wss://muster.example/v1/managers', { kind: 'websocket', url: 'wss://muster.example/v1/managers' }],
    [
      'wss://muster.example:444/x/v1/managers',
      { kind: 'websocket', url: 'wss://muster.example:444/x/v1/managers' },
    ],
    ['ws://127.0.0.1:7730/v1/managers', { kind: 'websocket', url: 'ws://127.0.0.1:7730/v1/managers' }],
    ['ws://[::1]:7730/v1/managers', { kind: 'websocket', url: 'ws://[::1]:7730/v1/managers' }],
  ])('is read: %s', (text, address) => {
    expect(parseDaemonAddress(text)).toEqual(address)
  })

  it.each([
    '',
    'muster.example',
    'muster.example:0',
    'muster.example:70000',
    '2001:db8::1:7011',
    'https://muster.example/v1/managers',
    'ws://muster.example/v1/managers',
    'ws://127.0.0.1.example/v1/managers',
    'wss://muster.example/',
    'wss://user:password@muster.example/v1/managers',
    'wss://muster.example/v1/managers?token=x',
    'unix:/run/muster.sock',
  ])('is refused: %s', (text) => {
    expect(() => parseDaemonAddress(text)).toThrow(/use host:port or wss:/)
  })
})
