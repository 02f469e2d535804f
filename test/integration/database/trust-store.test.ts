/** The TrustStore as the daemon has it: over the endpoint's API, on each kind of database. */
import { randomBytes } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createHasuraClient } from '../../../src/hasura/client.ts'
import { createHasuraStore } from '../../../src/hasura/hasura-store.ts'
import { createHasuraTrustStore } from '../../../src/hasura/trust-store.ts'
import { MusterError } from '../../../src/model/errors.ts'
import type { FleetStore, LaunchToken } from '../../../src/store/fleet-store.ts'
import type { NewCertificate, TrustStore } from '../../../src/store/trust-store.ts'
import type { AnEndpoint } from '../../support/an-endpoint.ts'
import { adminSecret, anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'

const projectDir = new URL('../../../config/hasura', import.meta.url).pathname
const minute = 60_000

const aTime: unknown = expect.any(Number)
const aText: unknown = expect.any(String)
const hash = () => randomBytes(32).toString('hex')
const aCertificate = (changes: Partial<NewCertificate> = {}): NewCertificate => ({
  serial: randomBytes(16).toString('hex'),
  spkiHash: hash(),
  issuer: 'issuer 1',
  pem: 'PEM',
  notBefore: Date.now() - minute,
  notAfter: Date.now() + 60 * minute,
  ...changes,
})

describe.each(databaseKinds)('the trust store on %s', (kind) => {
  let fleet: AnEndpoint
  let store: TrustStore
  let launches: FleetStore
  let fence: number
  const region = 'static/here'
  const sent = { name: 'b', description: '', address: '', regionId: null }
  const issue = async (backendId: string, changes: Partial<NewCertificate> = {}) => {
    const options = { renews: null, actor: 'anna' }
    return (await store.storeCertificate(backendId, aCertificate(changes), options))!
  }

  beforeAll(async () => {
    fleet = await anEndpoint(kind, { projectDir })
    const client = createHasuraClient({ url: fleet.endpoint.url, adminSecret })
    store = createHasuraTrustStore(client)
    launches = createHasuraStore(client, Date.now)
    fence = (await launches.takeLease('daemon-1', 3600))!.fence
    await client.request(`mutation {
      insert_fleet_regions_one(object: {id: "${region}", provider: "static"}) { id }
      insert_fleet_images_one(object: {id: "i", region_id: "${region}", image_id: "v1", version: "v1", status: "ACTIVE"}) { id }
    }`)
  })
  afterAll(() => fleet.close())

  it('makes, changes, lists and finds backends, newest first', async () => {
    const first = await store.createBackend({ ...sent, name: '50%_off', address: '10.0.0.1' }, 'anna')
    expect(first).toEqual({
      ...{ id: aText, name: '50%_off', description: '', address: '10.0.0.1', status: 'ENABLED' },
      ...{ reason: null, launchId: null, regionId: null, hostId: null, connectedAt: null, revision: 1 },
      ...{ connectedSerial: null, lastSeenAt: null, infoAt: null, createdAt: aTime },
    })
    expect(Math.abs(first.createdAt - Date.now())).toBeLessThan(minute)
    const second = await store.createBackend({ ...sent, name: 'Second' }, 'anna')
    expect(await store.updateBackend(first.id, { description: 'old' }, 'anna')).toMatchObject({
      ...{ name: '50%_off', description: 'old', revision: 2 },
    })
    expect(await store.updateBackend('nobody', { name: 'x' }, 'anna')).toBeUndefined()
    const found = async (filter: object) => {
      const { total, backends } = await store.listBackends({ limit: 10, offset: 0, ...filter })
      return [total, backends.map(({ name }) => name)]
    }
    expect(await found({})).toEqual([2, ['Second', '50%_off']])
    expect(await found({ limit: 1, offset: 1 })).toEqual([2, ['50%_off']])
    expect(await found({ name: 'sEcO' })).toEqual([1, ['Second']])
    expect(await found({ name: '%_' })).toEqual([1, ['50%_off']])
    expect(await found({ name: '_' })).toEqual([1, ['50%_off']])
    expect(await found({ isConnected: true })).toEqual([0, []])
    expect(await found({ status: 'ENABLED', isConnected: false })).toEqual([2, ['Second', '50%_off']])
    expect(await found({ status: 'TERMINATED' })).toEqual([0, []])
    const refusal = store.createBackend({ ...sent, regionId: 'static/nowhere' }, 'anna')
    await expect(refusal).rejects.toBeInstanceOf(MusterError)
    for (const { id } of [first, second]) expect(await store.deleteBackend(id, false, 'anna')).toEqual({ id })
    expect(await store.deleteBackend(first.id, false, 'anna')).toBeUndefined()
    expect(await store.readAudit({ backendId: first.id, limit: 2 })).toMatchObject([
      { act: 'backend-deleted', actor: 'anna', backendId: first.id, serial: null, at: aTime },
      { act: 'backend-updated', details: { description: 'old' } },
    ])
    expect(await store.readAudit({ limit: 1 })).toHaveLength(1)
  })

  it('leads a backend that was made by hand from its token to its host, and to its end', async () => {
    const { id } = await store.createBackend({ ...sent, regionId: region }, 'anna')
    const token = { id: 'token1', secretHash: hash(), lifetimeS: 900 }
    const stored = await store.createToken(id, token, 'anna')
    expect(Math.abs(stored!.expiresAt - Date.now() - 900_000)).toBeLessThan(minute)
    expect(await store.createToken('nobody', { ...token, id: 'token2' }, 'anna')).toBeUndefined()
    const redemption = {
      tokenId: token.id,
      secretHash: token.secretHash,
      spkiHash: hash(),
      cloudId: '',
      address: '10.0.0.7',
    }
    expect(await store.redeemToken({ ...redemption, secretHash: hash() }, fence)).toBeUndefined()
    expect(await store.redeemToken(redemption, fence)).toMatchObject({ id, address: '10.0.0.7' })
    await expect(store.redeemToken(redemption, fence + 1)).rejects.toThrow('the lease is not held')

    const wanted = aCertificate({ spkiHash: redemption.spkiHash })
    const issued = await store.storeCertificate(id, wanted, { renews: null, actor: 'token1' })
    expect(issued).toEqual({
      ...{
        ...wanted,
        backendId: id,
        firstUsedAt: null,
        retiresAt: null,
        revokedAt: null,
        revokeReason: null,
      },
      createdAt: aTime,
    })
    const { serial } = issued!
    const allowed = { serial, backendId: id, notAfter: wanted.notAfter, retiresAt: null }
    expect(await store.readAllowed()).toEqual([allowed])

    const opened = await store.connectBackend(serial, { address: '10.0.0.8', capacity: 3 }, fence)
    expect(opened!.backend).toMatchObject({ id, address: '10.0.0.8', connectedSerial: serial })
    expect(opened!.host).toMatchObject({
      ...{ id: opened!.backend.hostId, status: 'ACTIVE', regionId: region, provider: 'static', imageId: 'i' },
      ...{ address: '10.0.0.8', capacity: 3, cloudId: `backend:${id}`, launchId: null },
    })
    expect((await store.listBackends({ limit: 1, offset: 0, isConnected: true })).total).toBe(1)
    await store.disconnectBackends([], fence)
    await store.disconnectBackends(['nobody'], fence)
    expect(await store.readBackend(id)).toMatchObject({ connectedSerial: serial, certificates: [{ serial }] })
    const at = Date.now() + 5 * minute
    await store.flushBackends(new Map([[id, at], ['nobody', at]]), fence) // prettier-ignore
    await store.disconnectBackends(undefined, fence)
    expect(await store.readBackend(id)).toMatchObject({
      connectedAt: null,
      connectedSerial: null,
      lastSeenAt: at,
    })

    const next = await store.storeCertificate(id, aCertificate(), { renews: serial, actor: 'manager' })
    const again = store.storeCertificate(id, aCertificate(), { renews: serial, actor: 'manager' })
    await expect(again).rejects.toMatchObject({
      ...{ code: 'rate-limited', message: expect.stringContaining('in a minute') as string },
    })
    await store.connectBackend(next!.serial, { address: '10.0.0.8', capacity: 3 }, fence)
    const [old] = await store.readAllowedOf({ serials: [serial], backendIds: [] })
    expect(Math.abs(old!.retiresAt! - Date.now() - 10 * minute)).toBeLessThan(minute)

    expect(await store.revokeCertificate(serial, 'superseded', 'anna')).toMatchObject({
      ...{ serial, revokeReason: 'superseded', revokedAt: aTime },
    })
    const all = await store.readAllowedOf({ serials: [serial, 'f'.repeat(32)], backendIds: [id] })
    expect(all.map((row) => row.serial)).toEqual([next!.serial])
    expect(await store.readRevoked()).toEqual([{ serial, revokedAt: aTime, reason: 'superseded' }])
    expect(await store.terminateBackend(id, 'user', 'drain', 'anna')).toMatchObject({ status: 'TERMINATING' })
    expect(await store.terminateBackend(id, 'user', 'kill', 'anna')).toMatchObject({
      ...{ status: 'TERMINATED', reason: 'user' },
    })
    expect(await store.readAllowedOf({ serials: [], backendIds: [id] })).toEqual([])
    expect(await store.connectBackend(next!.serial, { address: 'x', capacity: 1 }, fence)).toBeUndefined()
    expect(await store.enableBackend(id, 'anna')).toMatchObject({ status: 'ENABLED', reason: null })
    expect(await store.enableBackend('nobody', 'anna')).toBeUndefined()
    expect(await store.deleteBackend(id, false, 'anna')).toBeUndefined()
    expect(await store.deleteBackend(id, true, 'anna')).toEqual({ id })
    expect((await store.readRevoked()).map(({ reason }) => reason).sort()).toEqual(['deleted', 'superseded'])
  })

  it('leads a launched backend from its token to its end', async () => {
    const token = { id: 'of a launch', secretHash: hash(), lifetimeS: 900, uses: 1 }
    await fleet.ask(`mutation { insert_fleet_hosts_one(object: {id: "h1", region_id: "${region}", provider: "static",
      launch_id: "L1", image_id: "i"}) { id }
      ${['L1', 'L2']
        .map(
          (id) => `${id}: insert_fleet_actions_one(object: {id: "${id}", decision_id: "${id}", kind: "launch",
        region_id: "${region}", is_calling: true}) { id }`,
        )
        .join()} }`)
    const offering = { instanceType: 'small', zone: 'a', lifecycle: 'spot', agents: 2 } as const
    const begin = (launchId: string, given: LaunchToken, asked = fence) =>
      launches.beginCall(launchId, asked, offering, { n: 1 }, given)
    const begun = { offering, request: { n: 1 }, isRepeat: true }
    expect(await begin('L1', token, fence + 1)).toBeUndefined()
    expect(await begin('L1', token)).toEqual(begun)
    expect(await begin('L1', { ...token, lifetimeS: 1800 })).toEqual(begun)
    expect(await begin('L2', token)).toBeUndefined()
    const redemption = {
      tokenId: token.id,
      secretHash: token.secretHash,
      spkiHash: hash(),
      cloudId: 'm1',
      address: 'a',
    }
    const redeemed = await store.redeemToken(redemption, fence)
    expect(redeemed).toMatchObject({ id: 'h1', name: 'm1', launchId: 'L1', hostId: 'h1', address: 'a' })
    const { serial } = await issue('h1', { spkiHash: redemption.spkiHash, keyMadeHere: true })
    const opened = await store.connectBackend(serial, { address: 'a', capacity: 2 }, fence)
    expect(opened!.host).toMatchObject({ id: 'h1', status: 'ACTIVE', cloudId: 'm1', capacity: 2 })
    const ended = await fleet.ask(
      'mutation { fleet_end_host(args: {host_id: "h1", fence: 1, reason: "gone"}) { status } }',
    )
    expect(ended).toEqual({ data: { fleet_end_host: [{ status: 'TERMINATED' }] } })
    expect(await store.readBackend('h1')).toMatchObject({ status: 'TERMINATED', reason: 'host-terminated' })
    expect(await store.connectBackend(serial, { address: 'a', capacity: 2 }, fence)).toBeUndefined()
    expect(await store.enableBackend('h1', 'anna')).toBeUndefined()
    expect(await store.readAudit({ backendId: 'h1', limit: 9 })).toMatchObject([
      { act: 'backend-terminated', actor: 'muster' },
      { act: 'certificate-issued', actor: 'anna', serial, details: { key_made_here: true } },
      { act: 'enrolled', details: { cloud_id: 'm1' } },
    ])
  })

  it('keeps what a manager says of its platform to the byte', async () => {
    const { id } = await store.createBackend(sent, 'anna')
    expect(await store.readInfo(id)).toBeUndefined()
    expect(await store.readInfo('nobody')).toBeUndefined()
    const info = Buffer.concat([
      Buffer.from('{"policy": 18446744073709551615, "text": "\\u0000 \\xff"}'),
      Buffer.from([0, 255, 0xc3, 0x28, 0x5c, 10, 0]),
      randomBytes(1000),
    ])
    expect(await store.reportInfo(id, info, fence)).toBe(true)
    expect((await store.readInfo(id))!.equals(info)).toBe(true)
    expect(await store.readBackend(id)).toMatchObject({ infoAt: aTime, revision: 1 })
    expect(await store.reportInfo('nobody', info, fence)).toBe(false)
    expect(await store.reportInfo(id, info, fence + 1)).toBe(false)
    expect(await store.reportInfo(id, Buffer.alloc(0), fence)).toBe(true)
    expect(await store.readInfo(id)).toEqual(Buffer.alloc(0))
    const megabyte = randomBytes(1 << 20)
    expect(await store.reportInfo(id, megabyte, fence)).toBe(true)
    expect((await store.readInfo(id))!.equals(megabyte)).toBe(true)
    await expect(store.reportInfo(id, randomBytes((1 << 20) + 1), fence)).rejects.toBeInstanceOf(MusterError)
  })
})
