import { expect, it } from 'vitest'

import { dialDaemon } from '../../../src/manager/transport.ts'

it.each(['127.0.0.1:7011', '127.8.9.1:7011', 'localhost:7011', '[::1]:7011'])('dials %s', (address) => {
  dialDaemon(address).close()
})

it.each([
  '192.0.2.1:7011',
  '[2001:db8::1]:7011',
  'muster.example:7011',
  '127.0.0.1.example:7011',
  '0.0.0.0:7011',
])('sends no secret in the clear to %s', (address) => {
  expect(() => dialDaemon(address)).toThrow(/not a loopback address/)
})
