import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { noFaults } from '../../../src/lib/fault-points.ts'
import { silentLogger } from '../../../src/lib/logger.ts'
import { CredentialsStore } from '../../../src/manager/credentials-store.ts'
import type { Identification } from '../../../src/manager/host-identity.ts'
import { HostIdentity } from '../../../src/manager/host-identity.ts'
import type { ManagerSpec } from '../../../src/model/manager-spec.ts'
import type { Authority } from '../../../src/trust/authority.ts'
import { readRequest } from '../../../src/trust/certificate-request.ts'
import { managersServerName } from '../../../src/trust/issue.ts'
import { keyPairAndCsr, spkiOf } from '../../../src/trust/new-key.ts'
import { pemToDer, toPem } from '../../../src/trust/pem.ts'
import { newSerial } from '../../../src/trust/serial.ts'
import { issuerIdentityOf, signCertificate } from '../../../src/trust/sign-certificate.ts'
import { createKeySigner } from '../../../src/trust/signer.ts'
import { anAuthority, FakeTrust, fleetId, startFakePort } from '../../support/fake-trust.ts'
import type { FakePort } from '../../support/fake-trust.ts'
import { TestClock } from '../../support/test-clock.ts'

const { signal } = new AbortController()

let authority: Authority
let directory: string
let trust: FakeTrust
let port: FakePort
let clock: TestClock

beforeAll(async () => {
  authority = await anAuthority()
})

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'muster-enrol-'))
  trust = new FakeTrust(authority)
  port = await startFakePort(trust, (socket) => socket.destroy())
  clock = new TestClock(Date.now())
})

afterEach(async () => {
  port.stop()
  await rm(directory, { recursive: true, force: true })
})

/** As a manager that has just started has it. */
function identity(spec: Partial<ManagerSpec> = {}): HostIdentity {
  const whole: ManagerSpec = {
    ...{ fleetId, launchId: 'launch-1', cloudId: 'machine-1', enrolmentToken: 'good-token' },
    ...{ caPins: authority.pins, agents: 1, version: 'demo', daemons: [], address: 'here.example' },
    ...{ app: 'app', agentCommand: ['agent'], ...spec },
  }
  return new HostIdentity({
    ...{ directory, spec: whole, clock, log: silentLogger, fault: noFaults },
    store: new CredentialsStore(directory),
  })
}

const tcp = () => `127.0.0.1:${port.port}`

async function identified(answer: Promise<Identification>) {
  const outcome = await answer
  if (outcome.kind !== 'identified') throw new Error(outcome.message)
  return outcome.credentials
}

describe('enrolment', () => {
  it.each([
    ['a port', tcp],
    ['a WebSocket', () => port.webSocketUrl],
  ])('gets a certificate for a key of its own at %s, and keeps both to itself', async (_, daemon) => {
    const { serial, key } = await identified(identity().identify(daemon(), signal))
    expect(trust.issued.map((one) => one.serial)).toEqual([serial])
    const [body] = trust.enrolments
    expect(body).toMatchObject({ token: 'good-token', cloud_id: 'machine-1', address: 'here.example' })
    expect(port.said()).toContain('good-token')
    expect(port.said()).not.toContain('PRIVATE KEY')
    expect((await stat(join(directory, 'credentials.json'))).mode & 0o777).toBe(0o600)
    // Again, and after a restart: what is held is good.
    expect(await identified(identity().identify(daemon(), signal))).toMatchObject({ serial, key })
    expect(trust.enrolments).toHaveLength(1)
  })

  it('tells its token to no daemon of another authority', async () => {
    const stranger = new FakeTrust(await anAuthority())
    const other = await startFakePort(stranger, (socket) => socket.destroy())
    const outcome = await identity().identify(`127.0.0.1:${other.port}`, signal)
    expect(outcome).toMatchObject({
      kind: 'unidentified',
      message: expect.stringContaining('root that is pinned') as string,
    })
    expect(other.said()).toBe('')
    other.stop()
  })

  it('tells its token to nobody who only shows the pinned root', async () => {
    // The root is no secret: whoever is in between sends it along, with a certificate that names it as its issuer.
    const root = authority.trusted.at(-1) ?? ''
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const forged = await signCertificate(
      {
        ...{ serial: newSerial(randomBytes), subject: 'Muster daemon', spki: spkiOf(privateKey) },
        ...{ notBefore: Date.now() - 60_000, notAfter: Date.now() + 60_000, keyUsage: 1 },
        ...{ purposes: ['1.3.6.1.5.5.7.3.1'], dnsNames: [managersServerName(fleetId)] },
      },
      createKeySigner(privateKey),
      issuerIdentityOf(pemToDer(root)),
    )
    const liar: Authority = {
      ...authority,
      issueServer: async () => ({
        ...{ certPem: toPem('CERTIFICATE', forged) + root, notBefore: 0, notAfter: 0 },
        keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      }),
    }
    const stranger = new FakeTrust(liar)
    const other = await startFakePort(stranger, (socket) => socket.destroy())
    const outcome = await identity().identify(`127.0.0.1:${other.port}`, signal)
    // It got as far as OpenSSL's verdict.
    expect(outcome).toMatchObject({
      kind: 'unidentified',
      message: expect.stringContaining('signature') as string,
    })
    expect(other.said()).toBe('')
    other.stop()
  })

  it('tells its token to no daemon of another fleet of the same authority', async () => {
    const outcome = await identity({ fleetId: 'fleet-2' }).identify(tcp(), signal)
    expect(outcome).toMatchObject({ kind: 'unidentified' })
    expect(port.said()).toBe('')
  })

  it('asks again with the same key when the answer was lost, also after a restart', async () => {
    trust.loses = 2
    const first = identity()
    expect(await first.identify(tcp(), signal)).toMatchObject({ kind: 'unidentified' })
    expect(await first.identify(tcp(), signal)).toMatchObject({ kind: 'unidentified' })
    const { serial } = await identified(identity().identify(tcp(), signal))
    expect(new Set(trust.enrolments.map((body) => readRequest(body.csr).spkiHash)).size).toBe(1)
    expect(trust.issued.map((one) => one.serial)).toEqual([serial])
  })

  it('waits for a daemon that is away or stands by, and is refused for ever by a no', async () => {
    trust.unavailable = 1
    expect(await identity().identify(tcp(), signal)).toMatchObject({
      kind: 'unidentified',
      message: expect.stringContaining('standing by') as string,
    })
    expect(await identity().identify('127.0.0.1:1', signal)).toMatchObject({ kind: 'unidentified' })
    expect(await identity({ enrolmentToken: 'spent-token' }).identify(tcp(), signal)).toMatchObject({
      kind: 'unauthorized',
      message: expect.stringContaining('npx muster backends token') as string,
    })
  })

  it('takes no certificate of another key or root', async () => {
    const enrol = trust.enrol.bind(trust)
    trust.enrol = async (body) => {
      const outcome = await enrol(body)
      const stored = outcome?.body as { certificate: string; ca: string }
      const { pem, chainPem } = await trust.issue(anotherCsr)
      return { status: 200, body: { ...stored, certificate: pem + chainPem } }
    }
    const anotherCsr = keyPairAndCsr().csrPem
    expect(await identity().identify(tcp(), signal)).toMatchObject({
      kind: 'unidentified',
      message: expect.stringContaining('another key') as string,
    })
    const foreign = new FakeTrust(await anAuthority())
    trust.enrol = (body) => foreign.enrol(body)
    expect(await identity().identify(tcp(), signal)).toMatchObject({
      kind: 'unidentified',
      message: expect.stringContaining('not pinned') as string,
    })
    expect(await new CredentialsStore(directory).read()).toBeUndefined()
  })

  it('past its certificate’s end waits for a token, and tells none twice with another key', async () => {
    const { notAfter } = await identified(identity().identify(tcp(), signal))
    await clock.advance(notAfter - clock.now())
    const away = identity()
    expect(await away.identify(tcp(), signal)).toMatchObject({
      kind: 'unidentified',
      message: expect.stringMatching(/expired at .*npx muster backends token backend-1/) as string,
    })
    const file = join(directory, 'token')
    await writeFile(file, 'stale-token\n', { mode: 0o600 })
    expect(await away.identify(tcp(), signal)).toMatchObject({ kind: 'unidentified' })
    await away.identify(tcp(), signal)
    expect(trust.enrolments.map((body) => body.token)).toEqual(['good-token', 'stale-token'])
    trust.tokens.set('fresh-token', undefined)
    trust.now = () => clock.now()
    await writeFile(file, 'fresh-token\n')
    const fresh = await identified(away.identify(tcp(), signal))
    expect(fresh.notAfter).toBeGreaterThan(notAfter)
    expect(trust.issued).toHaveLength(2)
  })

  it('reads no token that others may read', async () => {
    await writeFile(join(directory, 'token'), 'good-token', { mode: 0o644 })
    await expect(identity().identify(tcp(), signal)).rejects.toThrow(/chmod 600/)
    expect(trust.enrolments).toEqual([])
  })
})

it('the certificate names the host and chains to the pinned root', async () => {
  await identified(identity().identify(tcp(), signal))
  const file = JSON.parse(await readFile(join(directory, 'credentials.json'), 'utf8')) as {
    certificate: string
  }
  expect(new X509Certificate(file.certificate).subjectAltName).toBe(`URI:spiffe://${fleetId}/host/backend-1`)
})
