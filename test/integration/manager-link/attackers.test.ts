import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectHttp2 } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'

import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { createWebSocketStream, WebSocket } from 'ws'

import { addressReader } from '../../../src/api/headers.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { createLogger } from '../../../src/lib/logger.ts'
import { createWebSocketDoor } from '../../../src/manager-link/web-socket-door.ts'
import { launchToken, parseToken } from '../../../src/trust/enrolment-token.ts'
import { managersServerName } from '../../../src/trust/issue.ts'
import { keyPairAndCsr } from '../../../src/trust/new-key.ts'
import type { ClientCertificate } from '../../support/client-certificates.ts'
import { testAuthority, testFleetId } from '../../support/client-certificates.ts'
import { eventually } from '../../support/eventually.ts'
import { anAuthority } from '../../support/fake-trust.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import { aHello } from '../../support/scripted-manager.ts'
import type { LinkedFleet } from './linked-fleet.ts'
import { linkedFleet } from './linked-fleet.ts'

describeOnPostgres('the managers’ door', () => {
  let fleet: FleetDatabase
  let linked: LinkedFleet
  let directory: string
  let log = ''
  const sockets = new Set<{ destroy(): void }>()
  const hour = 3_600_000

  beforeAll(async () => {
    fleet = await fleetDatabase()
    await fleet.seedRegion()
    directory = await mkdtemp(join(tmpdir(), 'muster-attackers-'))
    const destination = { write: (line: string) => void (log += line) }
    linked = await linkedFleet(fleet, {
      limits: { handshakes: 400, handshakeMs: 2_000 },
      logger: createLogger({ level: 'trace', pretty: false, destination }),
    })
  })
  beforeEach(() => void (log = ''))
  afterEach(async () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    await fleet.sql('delete from fleet.backends')
    await fleet.sql('delete from fleet.hosts')
    await linked.rights.rebuild()
  })
  afterAll(async () => {
    await linked.stop()
    await fleet.close()
    await rm(directory, { recursive: true, force: true })
  })

  /** Ends when the peer closes, or 300 ms after the handshake: what openssl saw of it. */
  async function openssl(identity: Partial<ClientCertificate>, ...args: string[]): Promise<string> {
    const { key, certificate } = identity
    const files: string[] = []
    if (key !== undefined && certificate !== undefined) {
      await writeFile(join(directory, 'cert.pem'), certificate)
      await writeFile(join(directory, 'key.pem'), key)
      files.push('-cert', join(directory, 'cert.pem'), '-key', join(directory, 'key.pem'))
    }
    const alpn = args.includes('-alpn') || args.includes('-noalpn') ? [] : ['-alpn', 'h2']
    const rest = args.filter((arg) => arg !== '-noalpn')
    return new Promise((resolve) => {
      const target = [
        '-connect',
        `127.0.0.1:${linked.link.port}`,
        '-servername',
        managersServerName(testFleetId),
      ]
      const child = execFile(
        'openssl',
        ['s_client', ...target, ...alpn, ...files, '-ign_eof', ...rest],
        { timeout: 1_500 },
        (error, stdout, stderr) =>
          resolve(`${error?.killed === true ? 'STAYED OPEN' : 'CLOSED'}\n${stdout}${stderr}`),
      )
      child.stdin?.write('')
    })
  }

  /** Resolves with the socket once it stands, or with why not. */
  async function dialTls(
    identity: Partial<ClientCertificate>,
    given: ConnectionOptions = {},
  ): Promise<TLSSocket> {
    const { key, certificate: cert } = identity
    const { trusted } = await testAuthority()
    const socket = connectTls({
      ...{ host: '127.0.0.1', port: linked.link.port!, ca: [...trusted], ALPNProtocols: ['h2'] },
      ...{ servername: managersServerName(testFleetId), ...(key !== undefined && { key, cert: cert! }) },
      ...given,
    })
    sockets.add(socket)
    socket.on('error', () => undefined)
    return socket
  }

  /** Reads on, so that the end is seen; http2 reads by itself. */
  const closed = async (socket: TLSSocket, isRead = false) => {
    if (!isRead) socket.resume()
    await eventually(() => socket.destroyed, { what: 'the socket is closed' })
  }

  it('closes on who has no certificate, an old one, a future one, a stranger’s or a server’s, and on unlisted ones', async () => {
    const stranger = await anAuthority()
    const authority = await testAuthority()
    const good = await linked.certify('good')
    const { privateKeyPem, csrPem } = keyPairAndCsr()
    const unlisted = await authority.issueForHost({
      ...{ csr: csrPem, fleetId: testFleetId, backendId: 'x', now: Date.now() },
    })
    const server = await authority.issueServer({ names: ['x'], now: Date.now() })
    // Its row is there, as who writes to the database could have it, but the certificate of that serial is a stranger's.
    const foreign = await linked.certify('foreign', { authority: stranger })
    const revoked = await linked.certify('revoked')
    await fleet.sql(`select fleet.revoke_certificate($1, 'user', 'test')`, [revoked.serial])
    await linked.rights.changed({ serials: [revoked.serial], backendIds: [] })
    const cases: [string, Partial<ClientCertificate>, string][] = [
      ['none', {}, 'certificate-missing'],
      [
        'expired',
        await linked.certify('old', { now: Date.now() - 3 * hour, lifetimeS: 3_600 }),
        'certificate-expired',
      ],
      [
        'not yet valid',
        await linked.certify('young', { now: Date.now() + hour }),
        'certificate-not-yet-valid',
      ],
      ['foreign', foreign, 'certificate-foreign'],
      ['server', { key: server.keyPem, certificate: server.certPem }, 'certificate-wrong-purpose'],
      ['unlisted', { key: privateKeyPem, certificate: unlisted.pem }, 'serial-unknown'],
      // Said once for an address and a reason in a while.
      ['revoked', revoked, ''],
    ]
    for (const [what, identity, reason] of cases) {
      expect(await openssl(identity), what).toMatch(/^CLOSED/)
      await eventually(() => reason === '' || log.includes(`"${reason}"`), {
        what: `${what}: ${reason} in the log`,
      })
      log = ''
    }
    expect(await openssl(good)).toMatch(/^STAYED OPEN/)
    expect(await openssl(good, '-tls1_2')).toMatch(/alert protocol version/i)
    expect(await openssl(good, '-noalpn')).toMatch(/^CLOSED/)
    expect(await openssl(good, '-alpn', 'http/1.1')).toMatch(/no application protocol/i)
  }, 60_000)

  it('a client that ignores what it is told is closed all the same, at once', async () => {
    const identity = await linked.seedHost('stubborn')
    const socket = await dialTls(identity)
    const session = connectHttp2('https://muster.internal', { createConnection: () => socket })
    session.on('error', () => undefined)
    const stream = session.request(
      {
        ':method': 'POST',
        ':path': '/muster.v1.Managers/Connect',
        'content-type': 'application/grpc',
        te: 'trailers',
      },
      { endStream: false },
    )
    stream.on('error', () => undefined)
    await new Promise((resolve) => socket.once('secureConnect', resolve))
    await fleet.sql(`select fleet.terminate_backend('stubborn', 'user', 'kill', 'test')`)
    await linked.rights.changed({ serials: [], backendIds: ['stubborn'] })
    // Its own patience has no end.
    await closed(socket, true)
    session.destroy()
  })

  it('who is terminated is told so, who was superseded is not', async () => {
    const first = await linked.seedHost('h1')
    const second = await linked.certify('h1')
    const manager = await linked.connect(first)
    await fleet.sql(
      `update fleet.certificates set revoked_at = now(), revoke_reason = 'superseded' where serial = $1`,
      [first.serial],
    )
    await linked.rights.changed({ serials: [first.serial], backendIds: [] })
    await eventually(() => manager.ended !== undefined)
    expect(manager.all('terminated')).toEqual([])
    const next = await linked.connect(second)
    linked.link.terminating('h1', 'user')
    await fleet.sql(`select fleet.terminate_backend('h1', 'user', 'kill', 'test')`)
    await linked.rights.changed({ serials: [], backendIds: ['h1'] })
    await eventually(() => next.ended !== undefined)
    expect(next.all('terminated')).toMatchObject([{ terminated: { reason: 'user' } }])
    expect(await linked.hostStatus('h1')).toBe('TERMINATING')
    const again = linked.dial(second)
    again.say(aHello())
    await eventually(() => again.ended !== undefined)
    expect(again.heard).toEqual([])
  })

  it('a key that two use at once is an alarm', async () => {
    const identity = await linked.seedHost('copied')
    for (let turn = 0; turn < 2; turn += 1) {
      await linked.connect(identity)
      await linked.connect(identity)
    }
    await eventually(() => log.includes('may have been stolen'))
  })

  it('renews on the stream, and keeps what a manager tells of its platform byte for byte', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'))
    const { csrPem } = keyPairAndCsr()
    manager.say({ message: 'renew', renew: { csr: csrPem } })
    const { renewed } = await manager.hears('renewed')
    expect(renewed).toMatchObject({
      error: '',
      certificate: expect.stringContaining('BEGIN CERTIFICATE') as string,
    })
    const serials = await fleet.sql(`select serial from fleet.certificates where backend_id = 'h1'`)
    expect(serials).toHaveLength(2)
    const asked = linked.link.askInfo('h1', AbortSignal.timeout(100_000))
    await manager.hears('askInfo')
    const document = Buffer.from('{"cpuid": 18446744073709551615,  "b":1}')
    manager.say({ message: 'info', info: { document } })
    await asked
    const [row] = await fleet.sql(`select info from fleet.backends where id = 'h1'`)
    expect(row!['info']).toEqual(document)
    await expect(linked.link.askInfo('nobody', AbortSignal.timeout(100))).rejects.toMatchObject({
      code: 'conflict',
    })
  })

  const enrolOnce = async (body: object | string, given: ConnectionOptions = {}) => {
    const socket = await dialTls({}, { ALPNProtocols: ['muster-enrol/1'], ...given })
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    socket.write(
      `POST /enrol HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    )
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    await closed(socket)
    const answer = Buffer.concat(chunks).toString()
    return {
      status: Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0),
      body: JSON.parse(answer.split('\r\n\r\n')[1] || '{}') as Record<string, string>,
    }
  }
  const launch = async (hosts: number, launchId: string) => {
    const ids = Array.from({ length: hosts }, (_, index) => `${launchId}-h${index}`)
    await fleet.seedHosts(ids, { status: 'LAUNCHING', launch_id: launchId, address: null })
    const token = launchToken('fleet-key', launchId, 1)
    const { id, secretHash } = parseToken(token)!
    await fleet.sql(`select fleet.store_launch_token($1, $2, $3, $4, 900, $5)`, [
      ...[launchId, id, secretHash, hosts, linked.fence],
    ])
    return token
  }
  const wish = (token: string, cloudId: string, csr = keyPairAndCsr().csrPem) => ({
    ...{ token, cloud_id: cloudId, address: '127.0.0.1', csr },
  })

  it.each([1, 3])(
    'of 50 who redeem one token at once, %i get in, and the secret is in no log',
    async (hosts) => {
      const token = await launch(hosts, `many-${hosts}`)
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, index) => enrolOnce(wish(token, `machine-${index}`))),
      )
      const statuses = answers.map(({ status }) => status)
      expect(statuses.filter((status) => status === 200)).toHaveLength(hosts)
      expect(statuses.filter((status) => status === 403)).toHaveLength(50 - hosts)
      const [{ n }] = (await fleet.sql(
        'select count(*)::int as n from fleet.certificates where backend_id is not null',
      )) as [{ n: number }]
      expect(n).toBe(hosts)
      expect(log).toContain('manager enrolled')
      expect(log).not.toContain(token.split('_')[2])
    },
  )

  it('answers a lost answer’s repeat alike, and no other key, machine, late or malformed token', async () => {
    const token = await launch(1, 'one')
    const mine = wish(token, 'machine-1')
    const first = await enrolOnce(mine)
    expect(first.status).toBe(200)
    expect(await enrolOnce(mine)).toEqual(first)
    // What was enrolled may connect at once.
    const refusals = [
      wish(token, 'machine-2'),
      wish(token, 'machine-1'),
      wish(`${token.slice(0, -2)}AA`, 'machine-1'),
      wish('no token at all', 'machine-1'),
    ]
    const answers = []
    for (const refused of refusals) answers.push(await enrolOnce(refused))
    expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1)
    expect(answers[0]!.status).toBe(403)
    expect(await linked.hostStatus('one-h0')).toBe('DRAINING')
    const late = await launch(1, 'late')
    await fleet.sql(`update fleet.enrolment_tokens set expires_at = now() where launch_id = 'late'`)
    expect((await enrolOnce(wish(late, 'machine-3'))).status).toBe(403)
  })

  it('takes small requests only, and none while it stands by or the database is away', async () => {
    const token = await launch(1, 'small')
    expect((await enrolOnce('{')).status).toBe(400)
    expect((await enrolOnce(wish(token, 'm', 'no csr'))).status).toBe(400)
    expect((await enrolOnce({ ...wish(token, 'm'), admin: true })).status).toBe(400)
    expect((await enrolOnce(JSON.stringify('x'.repeat(20_000)))).status).toBe(413)
    linked.setAway(true)
    expect((await enrolOnce(wish(token, 'm'))).status).toBe(503)
    linked.setAway(false)
    const { fence } = linked
    linked.fence = undefined
    expect((await enrolOnce(wish(token, 'm'))).status).toBe(503)
    linked.fence = fence
    expect((await enrolOnce(wish(token, 'm'))).status).toBe(200)
  })

  it('while the database is not heard nobody new comes in, and who is in stays', async () => {
    const identity = await linked.seedHost('h1')
    const manager = await linked.connect(identity)
    linked.allowList.distrust()
    await closed(await dialTls(identity))
    manager.say({ message: 'drained', drained: {} })
    await eventually(() => linked.wakes.some((cause) => cause.kind === 'manager' && cause.what === 'drained'))
    expect(manager.ended).toBeUndefined()
  })

  it('a thousand who begin and never finish do not keep a manager out, nor stay', async () => {
    const identity = await linked.seedHost('h1')
    const half = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const socket: Socket = connectTcp({
          host: '127.0.0.1',
          localAddress: '127.0.0.2',
          port: linked.link.port!,
        })
        sockets.add(socket)
        socket.on('error', () => undefined)
        return socket
      }),
    )
    // One address has a quarter of the places: the rest was closed at once.
    await eventually(() => half.filter((socket) => socket.destroyed).length === 900)
    await linked.connect(identity)
    await eventually(() => half.every((socket) => socket.destroyed))
  })

  it('a message of 5 MiB ends the stream', async () => {
    const manager = await linked.connect(await linked.seedHost('h1'))
    manager.say({ message: 'info', info: { document: Buffer.alloc(5 * 1024 * 1024, 32) } })
    await eventually(() => manager.ended?.includes('RESOURCE_EXHAUSTED'))
  })

  it('inside a WebSocket the same handshake counts, and no page may open one', async () => {
    const door = createWebSocketDoor({
      take: (bytes, address) => linked.link.take(bytes, address),
      addressOf: addressReader(['127.0.0.1']),
      isOpen: () => linked.link.port !== undefined,
      clock: systemClock,
    })
    const http = createServer().on('upgrade', (request, socket, head) => door.upgrade(request, socket, head))
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`
    const inside = async (identity: Partial<ClientCertificate>) => {
      const webSocket = new WebSocket(`${url}/v1/managers`)
      const bytes = createWebSocketStream(webSocket)
      bytes.on('error', () => undefined)
      const socket = await dialTls(identity, { socket: bytes })
      return { socket, hasEnded: () => webSocket.readyState === WebSocket.CLOSED }
    }
    const { socket: good, hasEnded } = await inside(await linked.certify('good'))
    await new Promise((resolve) => good.once('secureConnect', resolve))
    const session = connectHttp2('https://muster.internal', { createConnection: () => good })
    session.on('error', () => undefined)
    await new Promise((resolve) => session.once('remoteSettings', resolve))
    const foreign = await linked.certify('foreign', { authority: await anAuthority() })
    for (const identity of [{}, foreign]) {
      const refused = await inside(identity)
      await eventually(refused.hasEnded)
    }
    await fleet.sql(`select fleet.terminate_backend('good', 'user', 'kill', 'test')`)
    await linked.rights.changed({ serials: [], backendIds: ['good'] })
    await eventually(hasEnded)
    const status = (path: string, origin?: string) =>
      new Promise((resolve) => {
        const webSocket = new WebSocket(`${url}${path}`, origin === undefined ? {} : { origin })
        webSocket.on('unexpected-response', (_request, { statusCode }) => resolve(statusCode))
        webSocket.on('error', () => undefined)
      })
    expect(await status('/v1/managers', 'https://muster.example')).toBe(403)
    expect(await status('/v1/other')).toBe(404)
    session.destroy()
    door.stop()
    http.close()
  })
})
