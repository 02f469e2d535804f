import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'

import {
  bootScript,
  bootstrapSchema,
  longestUserData,
  userDataOf,
} from '../../../../host-handlers/aws/user-data.ts'
import type { Bootstrap } from '../../../../host-handlers/aws/user-data.ts'

const token = 'e'.repeat(64)
const aBootstrap = (overrides: Partial<Bootstrap> = {}): Bootstrap => ({
  fleetId: 'fleet-1',
  launchId: 'launch-1',
  agents: 2,
  version: 'demo',
  daemons: ['daemon.example:7011'],
  caPins: [`sha256/${'p'.repeat(43)}`],
  app: 'hello-agent',
  agentCommand: ['/bin/agent', 'it\'s "fine" $HOME `x`'],
  address: 'private',
  program: ['muster'],
  ...overrides,
})

describe('user data', () => {
  it('is the same to the byte each time, gzipped without a time, and its hash is of what EC2 gets', () => {
    const first = userDataOf(aBootstrap(), token)
    const bytes = Buffer.from(first.base64, 'base64')
    expect(userDataOf(aBootstrap(), token)).toEqual(first)
    expect(bytes.readUInt32LE(4)).toBe(0)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(first.sha256)
    expect(gunzipSync(bytes).toString()).toBe(bootScript(aBootstrap(), token))
    // Known once and for all: a launch that was resolved before an upgrade is repeated after it.
    expect(first.sha256).toMatchInlineSnapshot(
      `"8340204cfd68dc3169955fbc6469f6a7cf00f43d908af836257f5d1d46266d0e"`,
    )
  })

  it('is another one for another token', () => {
    expect(userDataOf(aBootstrap(), 'f'.repeat(64)).sha256).not.toBe(userDataOf(aBootstrap(), token).sha256)
  })

  it('is refused when EC2 would not take it', () => {
    // What cannot be compressed.
    const noise = Array.from({ length: 1200 }, (_, at) =>
      createHash('sha256').update(String(at)).digest('hex'),
    )
    const make = () => userDataOf(aBootstrap({ agentCommand: noise }), token)
    expect(make).toThrow(String(longestUserData))
    expect(make).toThrow('agent_command')
  })

  it('holds the token once, and no line of it can end the here-document', () => {
    const script = bootScript(aBootstrap({ agentCommand: ['/bin/agent', '\nMUSTER_SPEC\nrm -rf /'] }), token)
    expect(script.split(token)).toHaveLength(2)
    expect(script.split('\n').filter((line) => line === 'MUSTER_SPEC')).toHaveLength(1)
  })

  it('starts the manager as a service, each word as it was meant', () => {
    const archive = { url: 'https://example.com/muster.tar.gz', sha256: '0'.repeat(64) }
    const script = bootScript(
      aBootstrap({ archive, program: ['bin/muster', '100%', '$HOME', 'a "b" \\'] }),
      token,
    )
    expect(script).toContain(
      'ExecStart=/usr/bin/env "/opt/muster/bin/muster" "100%%" "$$HOME" "a \\"b\\" \\\\" manager --dir /var/lib/muster',
    )
  })

  it('names the metadata service, which is an address and nothing else', () => {
    const script = bootScript(aBootstrap({ metadataEndpoint: 'http://[fd00:ec2::254]' }), token)
    expect(script).toContain('metadata=${MUSTER_METADATA:-http://[fd00:ec2::254]}/latest')
    const readable = (metadataEndpoint: string) =>
      bootstrapSchema.safeParse(aBootstrap({ metadataEndpoint })).success
    for (const address of ['http://127.0.0.1:1', 'http://[fd00:ec2::254]'])
      expect(readable(address)).toBe(true)
    for (const address of ['https://a', 'http://a/b', 'http://$(id)', 'http://a|b', 'http://a}']) {
      expect(readable(address)).toBe(false)
    }
  })
})
