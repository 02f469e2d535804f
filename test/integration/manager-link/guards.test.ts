import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, TcpNetConnectOpts } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'

import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { WebSocket } from 'ws'

import { addressReader } from '../../../src/api/headers.ts'
import { createLogger } from '../../../src/lib/logger.ts'
import { createWebSocketDoor } from '../../../src/manager-link/web-socket-door.ts'
import { launchToken, parseToken } from '../../../src/trust/enrolment-token.ts'
import { managersServerName } from '../../../src/trust/issue.ts'
import { keyPairAndCsr } from '../../../src/trust/new-key.ts'
import type { ClientCertificate } from '../../support/client-certificates.ts'
import { testAuthority, testFleetId } from '../../support/client-certificates.ts'
import { eventually } from '../../support/eventually.ts'
import type { FleetDatabase } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'
import { aHello } from '../../support/scripted-manager.ts'
import type { LinkedFleet } from './linked-fleet.ts'
import { linkedFleet } from './linked-fleet.ts'

describeOnPostgres('what guards the managers’ door', () => {
  let fleet: FleetDatabase
  let linked: LinkedFleet
  let log = ''
  const sockets = new Set<{ destroy(): void }>()

  beforeAll(async () => {
    fleet = await fleetDatabase()
    await fleet.seedRegion()
    const destination = { write: (line: string) => void (log += line) }
    linked = await linkedFleet(fleet, {
      limits: { failedEnrolments: 3 },
      logger: createLogger({ level: 'trace', pretty: false, destination }),
    })
  })
  beforeEach(() => void (log = ''))
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  })
  afterAll(async () => {
    await linked.stop()
    await fleet.close()
  })

  async function dial(
    identity: Partial<ClientCertificate>,
    given: ConnectionOptions & Pick<TcpNetConnectOpts, 'localAddress'> = {},
  ): Promise<TLSSocket> {
    const { key, certificate: cert } = identity
    const { trusted } = await testAuthority()
    const options: ConnectionOptions = {
      ...{ host: '127.0.0.1', port: linked.link.port!, ca: [...trusted], ALPNProtocols: ['h2'] },
      ...{ servername: managersServerName(testFleetId), ...(key !== undefined && { key, cert: cert! }) },
      ...given,
    }
    const socket = connectTls(options)
    sockets.add(socket)
    socket.on('error', () => undefined)
    return socket
  }
  const closed = async (socket: TLSSocket) => {
    socket.resume()
    await eventually(() => socket.destroyed, { what: 'the socket is closed' })
  }
  /** A connection that stands, and what resumes it: TLS 1.3 gives that after the handshake. */
  const standing = async (identity: ClientCertificate, session?: Buffer) => {
    const socket = await dial(identity, session === undefined ? {} : { session })
    let given: Buffer | undefined
    socket.on('session', (next: Buffer) => (given = next))
    socket.resume()
    const ticket = await eventually(() => given, { what: 'the daemon gives a session' })
    return { socket, ticket }
  }
  /** Brings a session of before, and is closed whether or not it is taken up. */
  const resumesInVain = async (identity: ClientCertificate, session: Buffer) => {
    await closed(await dial(identity, { session }))
  }
  /** A certificate whose row a writer to the database made as he liked. */
  const misfiled = async (named: string, filed: string, lifetimeS: number, rowLifetimeS: number) => {
    await linked.certify(filed)
    const { privateKeyPem, csrPem } = keyPairAndCsr()
    const authority = await testAuthority()
    const request = { csr: csrPem, fleetId: testFleetId, backendId: named, now: Date.now(), lifetimeS }
    const { serial, spkiHash, issuer, pem, notBefore } = await authority.issueForHost(request)
    await fleet.sql(
      `insert into fleet.certificates (serial, backend_id, spki_hash, issuer, pem, not_before, not_after)
        values ($1, $2, $3, $4, $5, to_timestamp($6 / 1000.0), now() + $7 * interval '1 s')`,
      [serial, filed, spkiHash, issuer, pem, notBefore, rowLifetimeS],
    )
    await linked.rights.changed({ serials: [serial], backendIds: [] })
    const ca = authority.trusted.join('')
    return { backendId: filed, serial, key: privateKeyPem, certificate: pem, ca }
  }

  it('who brings the session of an earlier connection is judged anew: good, then revoked', async () => {
    const identity = await linked.certify('resuming')
    const first = await standing(identity)
    const second = await standing(identity, first.ticket)
    expect(second.socket.destroyed).toBe(false)
    await fleet.sql(`select fleet.revoke_certificate($1, 'user', 'test')`, [identity.serial])
    await linked.rights.changed({ serials: [identity.serial], backendIds: [] })
    await closed(first.socket)
    await closed(second.socket)
    await resumesInVain(identity, second.ticket)
    await eventually(() => log.includes('"serial-unknown"'))
  })

  it('a certificate’s own end counts, whatever its row says: the connection ends then, and no session outlives it', async () => {
    const identity = await misfiled('brief', 'brief', 3, 3_600)
    const live = await standing(identity)
    expect(linked.allowList.get(identity.serial)!.notAfter - Date.now()).toBeGreaterThan(3_000_000)
    await closed(live.socket)
    await resumesInVain(identity, live.ticket)
    await eventually(() => /"(certificate|serial)-expired"/.test(log))
  })

  it('a certificate opens the door for the backend that it names, not for the one that its row names', async () => {
    const identity = await misfiled('mine', 'another', 3_600, 3_600)
    expect(typeof linked.allowList.lookup(identity.serial)).toBe('object')
    await closed(await dial(identity))
    await eventually(() => log.includes('"certificate-of-another"'))
  })

  it('streams that wait for an earlier one ask the database once, for the youngest', async () => {
    const identity = await linked.seedHost('redialler')
    const connect = linked.trust.connectBackend.bind(linked.trust)
    let calls = 0
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    linked.trust.connectBackend = async (...args) => {
      calls += 1
      await held
      return connect(...args)
    }
    try {
      const managers = [linked.dial(identity)]
      managers[0]!.say(aHello())
      await eventually(() => calls === 1)
      for (let n = 0; n < 5; n += 1) {
        const manager = linked.dial(identity)
        managers.push(manager)
        manager.say(aHello())
      }
      await eventually(() => managers.filter(({ ended }) => ended?.includes('took over')).length === 4)
      release()
      await eventually(() => managers.some((each) => each.ended === undefined && each.all('welcome').length))
      expect(calls).toBe(2)
    } finally {
      linked.trust.connectBackend = connect
    }
  })

  it('a manager that tells of its platform without end is written once in a while, and its last word counts', async () => {
    const manager = await linked.connect(await linked.seedHost('talker'))
    const report = linked.trust.reportInfo.bind(linked.trust)
    let writes = 0
    const began = performance.now()
    linked.trust.reportInfo = (...args) => {
      writes += 1
      return report(...args)
    }
    try {
      for (let n = 0; n <= 200; n += 1) {
        manager.say({ message: 'info', info: { document: Buffer.from(`{"n":${n}}`) } })
        // Each is heard by itself.
        if (n % 20 === 0) await new Promise(setImmediate)
      }
      await eventually(async () => {
        const [row] = await fleet.sql(`select info from fleet.backends where id = 'talker'`)
        return (row!['info'] as Buffer | null)?.toString() === '{"n":200}'
      })
      // The first, the last, and one a second of what this machine takes to hear them all.
      expect(writes).toBeLessThanOrEqual(2 + Math.ceil((performance.now() - began) / 1_000))
    } finally {
      linked.trust.reportInfo = report
    }
  })

  const enrol = async (token: string, csr: string, cloudId: string, from: string) => {
    const socket = await dial({}, { ALPNProtocols: ['muster-enrol/1'], localAddress: from })
    const text = JSON.stringify({ token, cloud_id: cloudId, address: '127.0.0.1', csr })
    const head = `POST /enrol HTTP/1.1\r\nhost: x\r\ncontent-type: application/json`
    socket.write(`${head}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`)
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    await closed(socket)
    return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0)
  }

  it('who enrols in vain too often from one address waits, and who succeeds, or is elsewhere, does not', async () => {
    await fleet.seedHosts(['enrolling'], { status: 'LAUNCHING', launch_id: 'l', address: null })
    const token = launchToken('fleet-key', 'l', 1)
    const { id, secretHash } = parseToken(token)!
    await fleet.sql(`select fleet.store_launch_token($1, $2, $3, $4, 900, $5)`, [
      ...['l', id, secretHash, 1, linked.fence],
    ])
    const { csrPem } = keyPairAndCsr()
    const good = (from: string) => enrol(token, csrPem, 'm', from)
    const bad = () => enrol(launchToken('fleet-key', 'other', 1), csrPem, 'm', '127.0.0.1')
    // A lost answer's repeat succeeds, however often.
    for (let n = 0; n < 5; n += 1) expect(await good('127.0.0.1')).toBe(200)
    expect(await enrol(token, csrPem, 'half a character: \ud800', '127.0.0.1')).toBe(400)
    for (let n = 0; n < 3; n += 1) expect(await bad()).toBe(403)
    expect(await bad()).toBe(429)
    expect(await good('127.0.0.1')).toBe(429)
    expect(await good('127.0.0.2')).toBe(200)
    expect(log.match(/enrolment: token refused/g)).toHaveLength(1)
  })

  const webSockets = async (trusted: Parameters<typeof addressReader>[0]) => {
    const addresses: string[] = []
    const timers: (() => void)[] = []
    const door = createWebSocketDoor({
      take: (bytes, address) => {
        bytes.on('error', () => undefined).resume()
        addresses.push(address)
      },
      addressOf: (request: IncomingMessage) => addressReader(trusted)(request),
      isOpen: () => true,
      clock: { after: (_ms, callback) => (timers.push(callback), () => undefined) },
    })
    const http = createServer().on('upgrade', (request, socket, head) => door.upgrade(request, socket, head))
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const open = async (given: { autoPong?: boolean; headers?: Record<string, string> } = {}) => {
      const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/v1/managers`
      const webSocket = new WebSocket(url, given)
      const seen = { webSocket, code: undefined as number | undefined, pings: 0 }
      webSocket.on('error', () => undefined)
      webSocket.on('close', (code) => (seen.code = code))
      webSocket.on('ping', () => (seen.pings += 1))
      await new Promise((resolve) => webSocket.once('open', resolve))
      return seen
    }
    return {
      ...{ addresses, open },
      /** The time of each ping has come. */
      tick: () => {
        for (const callback of timers.splice(0)) callback()
      },
      stop: () => {
        door.stop()
        http.close()
      },
    }
  }

  it('a WebSocket frame over 64 KiB closes it with 1009, and who answers no ping is closed', async () => {
    const door = await webSockets(undefined)
    const large = await door.open()
    large.webSocket.send(Buffer.alloc(64 * 1024))
    large.webSocket.send(Buffer.alloc(64 * 1024 + 1))
    await eventually(() => large.code === 1009, { what: '1009' })
    const [mute, lively] = await Promise.all([door.open({ autoPong: false }), door.open()])
    for (let round = 1; round <= 3; round += 1) {
      door.tick()
      await eventually(() => lively.pings === round)
      // Its pong comes before anything else it does.
      const answered = door.addresses.length
      await door.open()
      expect(door.addresses).toHaveLength(answered + 1)
    }
    await eventually(() => mute.code === 1006, { what: 'the mute one is closed' })
    expect(mute.pings).toBe(1)
    expect(lively.code).toBeUndefined()
    door.stop()
  })

  it('behind a proxy that is trusted a manager is who the proxy says last, and else the proxy', async () => {
    const headers = { 'x-forwarded-for': '198.51.100.1, 203.0.113.7' }
    const cases = [
      [undefined, '127.0.0.1'],
      [['127.0.0.1'], '203.0.113.7'],
      [['10.0.0.0/8'], '127.0.0.1'],
      ['heroku', '203.0.113.7'],
    ] as const
    for (const [trusted, wanted] of cases) {
      const door = await webSockets(trusted)
      await door.open({ headers })
      expect(door.addresses).toEqual([wanted])
      door.stop()
    }
  })
})
