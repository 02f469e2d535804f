import { describe, expect, it, test } from 'vitest'

import { settings } from '../../../config/schema.ts'
import { examineWayHome, namesOf, noWayHome } from '../../../config/way-home.ts'
import { parseDaemonAddress } from '../../../src/manager/daemon-address.ts'

const told = (addresses?: readonly string[], changes: object = {}) => ({
  MUSTER_MANAGER_ADVERTISE: addresses === undefined ? undefined : [...addresses],
  MUSTER_MANAGER_PORT: 7011,
  MUSTER_MANAGER_HOST: '0.0.0.0',
  MUSTER_HTTP_HOST: '0.0.0.0',
  ...changes,
})

describe('the way home', () => {
  it('is missing unless it is given, and whoever gives this machine’s own address is believed at a launch', () => {
    expect(noWayHome(told())).toMatch(/set MUSTER_MANAGER_ADVERTISE .*:7011/)
    expect(noWayHome(told(['127.0.0.1:7011']))).toBeUndefined()
  })

  it.each([
    ['localhost:7011'],
    ['127.3.2.1:7011'],
    ['[::1]:7011'],
    ['0.0.0.0:7011'],
    ['ws://127.0.0.1:7730/v1/managers'],
  ])('is a fault as %s alone', (address) => {
    expect(examineWayHome(told([address]))).toEqual({
      faults: [expect.stringContaining(address)],
      hints: [],
    })
    const { faults, hints } = examineWayHome(told([address, 'muster.example.com:7011']))
    expect([faults.length, hints.length]).toEqual([0, 1])
  })

  it.each([
    ['muster.example.com:7011', undefined],
    ['198.51.100.7:7011', undefined],
    ['[2001:db8::1]:7011', undefined],
    ['wss://muster.example.com/v1/managers', undefined],
    ['10.1.2.3:7011', 'private address'],
    ['172.31.0.1:7011', 'private address'],
    ['172.32.0.1:7011', undefined],
    ['192.168.0.1:7011', 'private address'],
    ['100.64.0.1:7011', 'private address'],
    ['[fd00::1]:7011', 'private address'],
    ['muster:7011', 'without a domain'],
  ])('as %s is hinted at: %s', (address, hint) => {
    const { faults, hints } = examineWayHome(told([address]))
    expect(faults).toEqual([])
    expect(hints).toEqual(hint === undefined ? [] : [expect.stringContaining(hint)])
  })

  it('needs the port that it leads to to listen', () => {
    const loopback = { MUSTER_MANAGER_HOST: '127.0.0.1', MUSTER_HTTP_HOST: '127.0.0.1' }
    expect(examineWayHome(told(['muster.example.com:7011'], loopback)).hints).toEqual([
      expect.stringMatching(/^MUSTER_MANAGER_HOST is 127.0.0.1/),
    ])
    expect(examineWayHome(told(['wss://muster.example.com/v1/managers'], loopback)).hints).toEqual([
      expect.stringMatching(/^MUSTER_HTTP_HOST is 127.0.0.1/),
    ])
  })

  it('has names that can be looked up', () => {
    expect(
      namesOf(['a.example:1', 'wss://b.example/v1/managers', '10.0.0.1:1', '[::1]:1', 'a.example:2']),
    ).toEqual(['a.example', 'b.example'])
  })
})

test.each([
  'muster.example.com:7011',
  '[2001:db8::1]:7011',
  'wss://muster.example.com/v1/managers',
  'ws://127.0.0.1:7730/v1/managers',
  'ws://muster.example.com/v1/managers',
  'wss://me:pass@muster.example.com/v1/managers',
  'wss://muster.example.com/',
  'muster.example.com',
  'muster.example.com:0',
  'muster.example.com:70000',
  '2001:db8::1:7011',
])('the setting takes %s only if managers do', (address) => {
  let isTaken = true
  try {
    parseDaemonAddress(address)
  } catch {
    isTaken = false
  }
  expect(settings.MUSTER_MANAGER_ADVERTISE.schema.safeParse(address).success).toBe(isTaken)
})
