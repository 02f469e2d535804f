import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { bootScript } from '../../../host-handlers/aws/user-data.ts'
import type { Bootstrap } from '../../../host-handlers/aws/user-data.ts'
import { readManagerSpec } from '../../../src/manager/host-directory.ts'

const run = promisify(execFile)
const token = 'mse1_' + 'e'.repeat(64)

describe('what a fresh instance runs', () => {
  let directory: string
  let host: string
  let server: Server
  let base: string
  let archive: Buffer
  const metadata = new Map<string, string>()
  /** Says how it was called, instead of managing. */
  const manager = '#!/bin/sh\nfor word in "$@"; do echo "word: $word"; done\n'

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'muster-boot-'))
    host = join(directory, 'host')
    await mkdir(join(directory, 'archive/bin'), { recursive: true })
    await writeFile(join(directory, 'archive/bin/muster'), manager)
    await chmod(join(directory, 'archive/bin/muster'), 0o755)
    const packed = join(directory, 'manager.tar.gz')
    await run('tar', ['-czf', packed, '-C', join(directory, 'archive'), '.'])
    archive = await readFile(packed)
    metadata.clear()
    metadata
      .set('instance-id', 'i-0123456789abcdef0')
      .set('local-ipv4', '10.0.0.7')
      .set('public-ipv4', '192.0.2.7')
    // The metadata service, version 2: nothing without a session, which only a PUT can begin.
    server = createServer((request, response) => {
      const path = request.url ?? ''
      const answer = (status: number, body: string | Buffer) => response.writeHead(status).end(body)
      if (path === '/manager.tar.gz') return answer(200, archive)
      if (path === '/latest/api/token') return answer(request.method === 'PUT' ? 200 : 405, 'session-1')
      if (request.headers['x-aws-ec2-metadata-token'] !== 'session-1') return answer(401, '')
      const value = metadata.get(path.replace('/latest/meta-data/', ''))
      return answer(value === undefined ? 404 : 200, value ?? '')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(async () => {
    server.close()
    server.closeAllConnections()
    await rm(directory, { recursive: true, force: true })
  })

  const aBootstrap = (overrides: Partial<Bootstrap> = {}): Bootstrap => ({
    fleetId: 'fleet-1',
    launchId: 'launch-1',
    agents: 2,
    version: 'demo',
    daemons: ['daemon.example:7011'],
    caPins: [`sha256/${'p'.repeat(43)}`],
    app: 'hello-agent',
    agentCommand: ['/bin/agent', `it's "fine" $HOME \`id\` \\ & /@ADDRESS@/`, 'two\nlines'],
    address: 'private',
    metadataEndpoint: 'http://127.0.0.1:1',
    program: [join(directory, 'archive/bin/muster')],
    ...overrides,
  })
  const boot = async (
    bootstrap: Bootstrap,
    rehearsal: Readonly<Record<string, string>> = { MUSTER_METADATA: base },
  ) => {
    const child = spawn('sh', ['-s'], {
      env: { PATH: process.env['PATH'], MUSTER_HOST_DIRECTORY: host, ...rehearsal },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    const said: string[] = []
    child.stdout.on('data', (chunk: Buffer) => said.push(chunk.toString()))
    child.stdin.end(bootScript(bootstrap, token))
    const [code] = (await once(child, 'close')) as [number]
    return { code, said: said.join('') }
  }

  it('writes a spec that the manager takes, for its owner only, and starts the manager on it', async () => {
    const bootstrap = aBootstrap({ program: [join(directory, 'archive/bin/muster'), "it's", 'a word'] })
    const { code, said } = await boot(bootstrap)
    expect(said.split('\n').slice(0, -1)).toEqual([
      "word: it's",
      'word: a word',
      'word: manager',
      'word: --dir',
      `word: ${host}`,
    ])
    expect(code).toBe(0)
    const { fleetId, launchId, agents, version, daemons, caPins, app, agentCommand } = bootstrap
    expect(await readManagerSpec(host)).toEqual({
      ...{ fleetId, launchId, agents, version, daemons, caPins, app, agentCommand },
      enrolmentToken: token,
      cloudId: 'i-0123456789abcdef0',
      address: '10.0.0.7',
      metadataEndpoint: base,
    })
    expect((await stat(join(host, 'spec.json'))).mode & 0o777).toBe(0o600)
  })

  it('asks, and has watched, the metadata service where the provider says that it is', async () => {
    const { code } = await boot(aBootstrap({ metadataEndpoint: base }), {})
    expect(code).toBe(0)
    expect(await readManagerSpec(host)).toMatchObject({
      metadataEndpoint: base,
      cloudId: 'i-0123456789abcdef0',
    })
  })

  it('tells users the public address where the region says so, and installs the archive that was named', async () => {
    const sha256 = createHash('sha256').update(archive).digest('hex')
    const url = `${base}/manager.tar.gz`
    const { code, said } = await boot(
      aBootstrap({ address: 'public', archive: { url, sha256 }, program: ['bin/muster'] }),
    )
    expect({ code, said }).toEqual({ code: 0, said: `word: manager\nword: --dir\nword: ${host}\n` })
    expect(await readManagerSpec(host)).toMatchObject({ address: '192.0.2.7' })
  })

  it('runs nothing of an archive that is another one', async () => {
    const url = `${base}/manager.tar.gz`
    const { code, said } = await boot(
      aBootstrap({ archive: { url, sha256: '0'.repeat(64) }, program: ['bin/muster'] }),
    )
    expect(code).not.toBe(0)
    expect(said).not.toContain('word')
  })

  it('stops at metadata that no instance has', async () => {
    metadata.set('local-ipv4', '10.0.0.7/;e touch x')
    const { code, said } = await boot(aBootstrap())
    expect(code).not.toBe(0)
    expect(said).not.toContain('word')
  })
})
