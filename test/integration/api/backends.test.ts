/** Backends through the API, over the store as the daemon has it, with a real authority. */
import { X509Certificate } from 'node:crypto'

import { unzipSync } from 'fflate'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { createApi } from '../../../src/api/server.ts'
import type { BackendConnections } from '../../../src/backends/backends.ts'
import { Backends } from '../../../src/backends/backends.ts'
import { createHasuraClient } from '../../../src/hasura/client.ts'
import { createHasuraStore } from '../../../src/hasura/hasura-store.ts'
import { createHasuraTrustStore } from '../../../src/hasura/trust-store.ts'
import { MusterError } from '../../../src/model/errors.ts'
import type { TrustStore } from '../../../src/store/trust-store.ts'
import type { Authority } from '../../../src/trust/authority.ts'
import { keyPairAndCsr } from '../../../src/trust/new-key.ts'
import { anApi, asAdmin, bearer } from '../../support/an-api.ts'
import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { adminSecret, anEndpoint } from '../../support/an-endpoint.ts'
import { anAuthority } from '../../support/fake-trust.ts'
import { openssl } from '../../support/openssl.ts'
import { TestClock } from '../../support/test-clock.ts'

const projectDir = new URL('../../../config/hasura', import.meta.url).pathname
const aTextWith = (part: string): unknown => expect.stringContaining(part)
const nobody = '00000000-0000-0000-0000-000000000000'

/** The streams of a daemon, as far as the API sees them. */
class FakeConnections implements BackendConnections {
  readonly cuts: { serials: readonly string[]; backendIds: readonly string[] }[] = []
  readonly heard = new Map<string, number>()
  ask: (backendId: string) => Promise<void> = () => Promise.resolve()

  rightsChanged(of: { serials: readonly string[]; backendIds: readonly string[] }): Promise<void> {
    this.cuts.push(of)
    return Promise.resolve()
  }

  rightsTaken(): void {
    // What this daemon holds is none of the API's concern.
  }

  terminating(): void {
    // Only a manager would hear it.
  }

  lastHeard(backendId: string): number | undefined {
    return this.heard.get(backendId)
  }

  askInfo(backendId: string): Promise<void> {
    return this.ask(backendId)
  }
}

describe('backends through the API', () => {
  let endpoint: AnEndpoint
  let store: TrustStore
  let authority: Authority
  let app: FastifyInstance
  let fence: number
  let connections: FakeConnections
  const clock = new TestClock(Date.now())

  beforeAll(async () => {
    endpoint = await anEndpoint('pglite', { projectDir })
    const client = createHasuraClient({ url: endpoint.endpoint.url, adminSecret })
    store = createHasuraTrustStore(client)
    const fleetStore = createHasuraStore(client, Date.now)
    fence = (await fleetStore.takeLease('daemon-1', 3600))!.fence
    authority = await anAuthority()
    connections = new FakeConnections()
    const backends = new Backends({
      ...{ store, authority, connections, clock },
      fleetId: () => 'fleet-1',
      daemons: () => ['127.0.0.1:7011'],
    })
    const { options } = anApi({ backends })
    app = (await createApi({ ...options, store: fleetStore })).app
  })
  beforeEach(() => connections.cuts.splice(0))
  afterAll(async () => {
    await app.close()
    await endpoint.close()
  })

  const ask = (method: InjectOptions['method'] & string, url: string, payload?: object) =>
    app.inject({ method, url, headers: asAdmin, ...(payload && { payload }) } as InjectOptions)
  const create = async (body: object = { name: 'rack 7' }): Promise<string> =>
    (await ask('POST', '/v1/backends', body)).json<{ id: string }>().id
  const issue = async (id: string, csr = keyPairAndCsr().csrPem) =>
    (await ask('POST', `/v1/backends/${id}/certificates`, { csr })).json<Record<string, string>>()
  const acts = async (id: string) =>
    (await ask('GET', `/v1/audit?backend=${id}`))
      .json<{ audit: { act: string; actor: string }[] }>()
      .audit.map(({ act, actor }) => `${actor}: ${act}`)
      .reverse()

  it('makes, lists, views, updates and deletes', async () => {
    const made = await ask('POST', '/v1/backends', { name: 'böck 1', description: 'd', address: '10.0.0.1' })
    expect(made.statusCode).toBe(201)
    const { id } = made.json<{ id: string }>()
    expect(made.headers.location).toBe(`/v1/backends/${id}`)
    expect((await ask('GET', made.headers.location ?? '')).json()).toMatchObject({
      ...{ id, name: 'böck 1', description: 'd', address: '10.0.0.1', status: 'ENABLED', connected: false },
      ...{ last_seen_at: null, host_id: null, certificates: [], agents: [] },
    })
    await create({ name: 'another' })
    const page = (await ask('GET', '/v1/backends?limit=1&offset=0&status=ENABLED')).json<{ total: number }>()
    expect(page).toMatchObject({ limit: 1, offset: 0, backends: [{ name: 'another' }] })
    expect(page.total).toBeGreaterThan(1)
    expect((await ask('GET', '/v1/backends?name=B%C3%96CK')).json()).toMatchObject({ backends: [{ id }] })
    expect((await ask('PUT', `/v1/backends/${id}`, { address: '10.0.0.2' })).json()).toMatchObject({
      ...{ name: 'böck 1', address: '10.0.0.2' },
    })
    expect((await ask('DELETE', `/v1/backends/${id}`)).statusCode).toBe(204)
    expect((await ask('GET', `/v1/backends/${id}`)).statusCode).toBe(404)
    expect(await acts(id)).toEqual([
      'admin: backend-created',
      'admin: backend-updated',
      'admin: backend-deleted',
    ])
  })

  it('says what is wrong with a request, and what there is not', async () => {
    const faults = async (body: object) =>
      (await ask('POST', '/v1/backends', body)).json<{ errors?: string[] }>()
    expect((await faults({})).errors).toEqual([expect.stringContaining('name')])
    expect((await faults({ name: 'a\0b', also: 1 })).errors).toHaveLength(2)
    expect((await ask('GET', '/v1/backends?status=DEAD')).statusCode).toBe(400)
    const paths = ['', '/info', '/certificates/00']
    for (const path of paths) expect((await ask('GET', `/v1/backends/${nobody}${path}`)).statusCode).toBe(404)
    const posts = [
      ['tokens', undefined],
      ['certificates', undefined],
      ['enable', undefined],
      ['info/refresh', undefined],
      ['terminate', { reason: 'user' }],
    ] as const
    for (const [path, body] of posts) {
      expect((await ask('POST', `/v1/backends/${nobody}/${path}`, body)).statusCode, path).toBe(404)
    }
  })

  it('issues for a CSR, whose key alone counts, and gives the same key the same certificate', async () => {
    const id = await create()
    const { csrPem, spkiHash } = keyPairAndCsr()
    const issued = await issue(id, csrPem)
    expect(issued).toMatchObject({ status: 'valid', spki_sha256: spkiHash })
    const leaf = new X509Certificate(issued['certificate'] ?? '')
    expect(leaf.subjectAltName).toBe(`URI:spiffe://fleet-1/host/${id}`)
    expect(authority.isIssuerOf(leaf)).toBe(true)
    expect((await issue(id, csrPem))['serial']).toBe(issued['serial'])
    const bad = await ask('POST', `/v1/backends/${id}/certificates`, { csr: 'no CSR' })
    expect([bad.statusCode, bad.json<{ code: string }>().code]).toEqual([400, 'invalid-request'])
    const another = await create()
    const stolen = await ask('POST', `/v1/backends/${another}/certificates`, { csr: csrPem })
    expect(stolen.json()).toMatchObject({ status: 409, detail: aTextWith('has this key') })
  })

  it('makes a key where there is no CSR, and gives it out once and not after five minutes', async () => {
    const id = await create()
    const make = async () => {
      const { serial, download } = (await ask('POST', `/v1/backends/${id}/certificates`)).json<{
        serial: string
        download: { token: string }
      }>()
      return { path: `/v1/backends/${id}/certificates/${serial}/download`, token: download.token }
    }
    const { path, token } = await make()
    expect((await ask('POST', path, { token: 'another' })).statusCode).toBe(404)
    expect((await ask('GET', path)).statusCode).toBe(405)
    const answer = await ask('POST', path, { token })
    expect(answer.headers['content-type']).toBe('application/zip')
    const files = unzipSync(answer.rawPayload)
    expect(Object.keys(files)).toEqual(['ca.pem', 'cert.pem', 'key.pem'])
    const text = (name: string) => Buffer.from(files[name] ?? []).toString()
    const publicKey = openssl(['pkey', '-pubout', '-in', '@key'], { key: text('key.pem') })
    expect(openssl(['x509', '-noout', '-pubkey', '-in', '@cert'], { cert: text('cert.pem') })).toBe(publicKey)
    expect((await ask('POST', path, { token })).statusCode).toBe(404)
    const late = await make()
    await clock.advance(5 * 60_000)
    expect((await ask('POST', late.path, { token: late.token })).statusCode).toBe(404)
  })

  it('renews a live certificate, and no revoked one', async () => {
    const id = await create()
    const { serial = '' } = await issue(id)
    const renew = () =>
      ask('POST', `/v1/backends/${id}/certificates/${serial}/renew`, { csr: keyPairAndCsr().csrPem })
    expect((await renew()).json()).toMatchObject({ status: 'valid' })
    const revoked = await ask('POST', `/v1/backends/${id}/certificates/${serial}/revoke`)
    expect(revoked.json()).toMatchObject({ serial, status: 'revoked', revoke_reason: 'certificate-revoked' })
    expect(connections.cuts).toEqual([{ serials: [serial], backendIds: [id] }])
    expect((await renew()).json()).toMatchObject({ status: 409 })
    const crl = await ask('GET', '/v1/pki/crl')
    expect(crl.headers['content-type']).toBe('application/pkix-crl')
    const list = openssl(['crl', '-inform', 'DER', '-noout', '-text', '-in', '@crl'], { crl: crl.rawPayload })
    expect(list.toLowerCase()).toContain(serial.replace(/^0+/, ''))
  })

  it('terminates, for good until it is enabled, and by the old path too', async () => {
    const id = await create()
    await issue(id)
    const terminate = (body: object) => ask('POST', `/v1/backends/${id}/terminate`, body)
    expect((await terminate({})).statusCode).toBe(400)
    expect((await terminate({ reason: 'user' })).statusCode).toBe(204)
    expect(connections.cuts).toEqual([{ serials: [], backendIds: [id] }])
    expect((await terminate({ reason: 'user', agents: 'drain' })).statusCode).toBe(204)
    const status = async () => (await ask('GET', `/v1/backends/${id}`)).json<{ status: string }>().status
    expect(await status()).toBe('TERMINATED')
    expect(await store.readAllowedOf({ serials: [], backendIds: [id] })).toEqual([])
    expect((await ask('POST', `/v1/backends/${id}/tokens`)).statusCode).toBe(409)
    expect((await ask('POST', `/v1/backends/${id}/enable`)).statusCode).toBe(204)
    expect(await store.readAllowedOf({ serials: [], backendIds: [id] })).toHaveLength(1)

    const path = `/backends/terminate/${id}/1`
    expect((await app.inject({ url: path })).statusCode).toBe(401)
    expect((await app.inject({ url: path, headers: await bearer({ role: 'viewer' }) })).statusCode).toBe(403)
    expect((await ask('HEAD', path)).statusCode).toBe(405)
    expect((await ask('GET', `/v1/backends/${id}/terminate`)).statusCode).toBe(405)
    const prefetch = await app.inject({ url: path, headers: { ...asAdmin, 'sec-purpose': 'prefetch' } })
    expect(prefetch.statusCode).toBe(400)
    expect((await ask('GET', `/backends/terminate/${id}/2`)).statusCode).toBe(400)
    expect(await status()).toBe('ENABLED')
    expect((await app.inject({ url: path, headers: await bearer({ role: 'operator' }) })).statusCode).toBe(
      204,
    )
    expect(await status()).toBe('TERMINATED')
    expect(await acts(id)).toContain('alice: backend-terminated')
  })

  it('does not delete what is connected unless it is forced to', async () => {
    const id = await create()
    const { serial = '' } = await issue(id)
    await store.connectBackend(serial, { address: '10.0.0.3', capacity: 1 }, fence)
    expect((await ask('GET', `/v1/backends/${id}`)).json()).toMatchObject({ connected: true })
    expect((await ask('GET', '/v1/backends?connected=true')).json()).toMatchObject({ total: 1 })
    const refused = await ask('DELETE', `/v1/backends/${id}`)
    expect(refused.json()).toMatchObject({ status: 409, detail: aTextWith('force=true') })
    expect((await ask('DELETE', `/v1/backends/${id}?force=true`)).statusCode).toBe(204)
    expect(connections.cuts.at(-1)).toEqual({ serials: [], backendIds: [id] })
    expect((await store.readRevoked()).map((one) => one.serial)).toContain(serial)
  })

  it('gives what the manager told, to the byte, and an empty document where it told nothing', async () => {
    const id = await create()
    const told = Buffer.from('{ "policy": 18446744073709551615, "tcb":1.10 }')
    expect((await ask('GET', `/v1/backends/${id}/info`)).body).toBe('{}')
    connections.ask = async (backendId) => {
      await store.reportInfo(backendId, told, fence)
    }
    const refreshed = await ask('POST', `/v1/backends/${id}/info/refresh`)
    expect(refreshed.rawPayload.equals(told)).toBe(true)
    expect(refreshed.headers['content-type']).toContain('application/json')
    expect((await ask('GET', `/v1/backends/${id}/info`)).rawPayload.equals(told)).toBe(true)
    connections.ask = () => Promise.reject(new MusterError('conflict', `backend ${id} is not connected`))
    expect((await ask('POST', `/v1/backends/${id}/info/refresh`)).statusCode).toBe(409)
  })

  it('gives out tokens of which only the hash is kept, with what a manager needs beside them', async () => {
    const id = await create()
    const made = await ask('POST', `/v1/backends/${id}/tokens`, { expires_in_s: 120 })
    expect(made.statusCode).toBe(201)
    expect(made.json()).toEqual({
      token: expect.stringMatching(/^mse1_/) as string,
      expires_at: expect.any(String) as string,
      ...{ fleet_id: 'fleet-1', ca_pins: authority.pins, daemons: ['127.0.0.1:7011'] },
    })
    const late = await ask('POST', `/v1/backends/${id}/tokens`, { expires_in_s: 1e6 })
    expect(late.statusCode).toBe(400)
  })

  it('lets viewers look and operators act, and nobody else', async () => {
    const id = await create()
    const as = async (role: string | undefined, method: 'GET' | 'POST', url: string) =>
      (await app.inject({ method, url, headers: await bearer({ role }) })).statusCode
    expect(await as('viewer', 'GET', `/v1/backends/${id}`)).toBe(200)
    expect(await as(undefined, 'GET', `/v1/backends/${id}`)).toBe(403)
    expect(await as('viewer', 'POST', `/v1/backends/${id}/enable`)).toBe(403)
    expect(await as('operator', 'POST', `/v1/backends/${id}/enable`)).toBe(204)
    expect((await app.inject({ url: '/v1/backends' })).statusCode).toBe(401)
    expect((await app.inject({ url: '/v1/pki/ca' })).body).toBe(authority.trusted.join(''))
  })

  it('adds what this daemon heard to what the rows say', async () => {
    const id = await create()
    connections.heard.set(id, 1_700_000_000_000)
    expect((await ask('GET', `/v1/backends/${id}`)).json()).toMatchObject({
      last_seen_at: '2023-11-14T22:13:20.000Z',
    })
  })
})
