/** What each role's schema holds, and who a request is from: by secret, by token, or by nothing. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { buildClientSchema, getIntrospectionQuery } from 'graphql'
import type { IntrospectionQuery } from 'graphql'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { CryptoKey } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createAuthentication } from '../../../src/embedded/server/authentication.ts'
import { readJwtOptions } from '../../../src/embedded/server/jwt-options.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import type { AnEndpoint, Answer } from '../../support/an-endpoint.ts'
import { anEndpoint } from '../../support/an-endpoint.ts'
import { eventually } from '../../support/eventually.ts'
import type { Headers } from '../../support/office.ts'
import { as, bob, guest, officeJwtKey, officeProject } from '../../support/office.ts'
import { connectPeer, newProtocol, oldProtocol } from '../../support/socket-peer.ts'

let office: AnEndpoint
beforeAll(async () => {
  office = await anEndpoint('pglite', {
    projectDir: officeProject,
    jwt: JSON.stringify({ type: 'HS256', key: officeJwtKey }),
    unauthorizedRole: 'guest',
  })
})
afterAll(async () => office.close())

const ask = async (headers: Headers, query: string): Promise<Answer> =>
  await office.ask(query, undefined, headers)

describe('a schema', () => {
  const fieldsOf = async (headers: Headers) => {
    const { data } = await ask(headers, getIntrospectionQuery())
    const schema = buildClientSchema(data as unknown as IntrospectionQuery)
    const names = (type: string): string[] => {
      const found = schema.getType(type)
      return found !== undefined && 'getFields' in found ? Object.keys(found.getFields()).sort() : []
    }
    return { schema, names }
  }

  it('is what a worker may do, and no more', async () => {
    const { schema, names } = await fieldsOf(bob)
    expect(names('query_root')).toEqual([
      'employee',
      'employee_by_pk',
      'note',
      'note_aggregate',
      'note_by_pk',
      'notes_about',
      'notes_about_aggregate',
    ])
    expect(names('subscription_root')).toEqual([
      ...names('query_root').slice(0, 2),
      'employee_stream',
      'note',
      'note_aggregate',
      'note_by_pk',
      'note_stream',
      'notes_about',
      'notes_about_aggregate',
    ])
    expect(names('mutation_root')).toEqual([
      'delete_note',
      'delete_note_by_pk',
      'insert_note',
      'insert_note_one',
      'publish',
      'update_note',
      'update_note_by_pk',
      'update_note_many',
    ])
    expect(names('employee')).toEqual([
      'fullName',
      'id',
      'manager',
      'notes',
      'notes_aggregate',
      'team',
      'title_notes',
    ])
    expect(names('note')).toEqual(['author', 'author_id', 'id', 'is_public', 'title'])
    expect(names('note_bool_exp')).toEqual(expect.not.arrayContaining(['body', 'edited_by', 'origin']))
    expect(names('note_insert_input')).toEqual(['author_id', 'id', 'is_public', 'title'])
    expect(names('note_set_input')).toEqual(['is_public', 'title'])
    expect(names('employee_order_by')).toEqual([
      'fullName',
      'id',
      'manager',
      'notes_aggregate',
      'team',
      'title_notes_aggregate',
    ])
    const text = Object.keys(schema.getTypeMap()).join(' ')
    expect(text).not.toMatch(/audit|employee_aggregate|employee_insert|employee_set|purge/)
  })

  it('has the root fields that a permission names', async () => {
    const { names } = await fieldsOf(guest)
    expect(names('query_root')).toEqual([
      'employee',
      'employee_by_pk',
      'note',
      'note_aggregate',
      'notes_about',
      'notes_about_aggregate',
    ])
    expect(names('mutation_root')).toEqual([])
    // A relationship is there where its target may be read, also by a key that may not.
    expect(names('note')).toEqual(['author', 'id', 'title'])
  })

  it('leaves to backends what is theirs', async () => {
    const backend = as('clerk', { 'x-hasura-use-backend-only-permissions': 'true' })
    expect((await fieldsOf(as('clerk'))).names('mutation_root')).toEqual([])
    const { names } = await fieldsOf(backend)
    expect(names('mutation_root')).toEqual(['insert_note'])
    // Who may not read gets no rows back, and nothing but a count.
    expect(names('note_mutation_response')).toEqual(['affected_rows'])
    expect(names('note')).toEqual([])
  })

  it('holds nothing for who is unknown', async () => {
    const { names } = await fieldsOf(as('somebody'))
    expect(names('query_root')).toEqual(['no_queries_available'])
    expect(names('mutation_root')).toEqual([])
  })
})

describe('who asks', () => {
  const aToken = async (claims: Record<string, unknown>, expiresInS = 60): Promise<string> =>
    await new SignJWT({ 'https://hasura.io/jwt/claims': claims })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime(Math.floor(Date.now() / 1_000) + expiresInS)
      .sign(Buffer.from(officeJwtKey))
  const bobs = {
    'x-hasura-allowed-roles': ['worker'],
    'x-hasura-default-role': 'worker',
    'x-hasura-user-id': '2',
    'x-hasura-team': 'red',
  }

  it('is who the token says, whatever the headers say', async () => {
    const headers = { authorization: `Bearer ${await aToken(bobs)}`, 'x-hasura-user-id': '3' }
    expect(await ask(headers, '{note(order_by:{id:asc}){id}}')).toEqual({
      data: { note: [{ id: 2 }, { id: 3 }, { id: 4 }] },
    })
    expect(await ask({ ...headers, 'x-hasura-role': 'admin' }, '{note{id}}')).toEqual({
      errors: [
        {
          message: 'Your requested role is not in allowed roles',
          extensions: { code: 'access-denied', path: '$' },
        },
      ],
    })
  })

  it('is the unauthorized role without a token, and chooses nothing', async () => {
    expect(await ask({ 'x-hasura-note-ids': '{1}', 'x-hasura-role': 'worker' }, '{note{id}}')).toMatchObject({
      errors: [{ message: 'missing session variable: "x-hasura-note-ids"' }],
    })
  })

  it.each([newProtocol, oldProtocol])(
    'is heard on a socket of %s until the token expires',
    async (protocol) => {
      // An expiry is a whole second: the first one that leaves time to be heard.
      const expiresS = Math.ceil((Date.now() + 2_000) / 1_000)
      const token = await aToken(bobs, expiresS - Math.floor(Date.now() / 1_000))
      const peer = await connectPeer(office.endpoint.url, protocol)
      const isNew = protocol === newProtocol
      peer.say({ type: 'connection_init', payload: { headers: { Authorization: `Bearer ${token}` } } })
      const payload = { query: 'subscription{note_by_pk(id:3){id}}' }
      peer.say({ type: isNew ? 'subscribe' : 'start', id: '1', payload })
      const [first] = await peer.hears(isNew ? 'next' : 'data')
      expect(first).toMatchObject({ payload: { data: { note_by_pk: { id: 3 } } } })
      expect(peer.closed).toBeUndefined()
      // As the engine does: without a close frame, and not before its time.
      expect(await peer.closes()).toEqual({ code: 1006, reason: '' })
      expect(Date.now()).toBeGreaterThanOrEqual(expiresS * 1_000 - 10)
      await eventually(() => office.endpoint.subscriptions === 0)
    },
  )

  it('is who a token of a key set says', async () => {
    const pair = await generateKeyPair('RS256', { extractable: true })
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }
    const keys = createServer((_request, response) => response.end(JSON.stringify({ keys: [jwk] })))
    await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = keys.address() as AddressInfo
      const authenticate = createAuthentication({
        adminSecret: 'secret',
        jwt: readJwtOptions(JSON.stringify({ jwk_url: `http://127.0.0.1:${port}/keys` })),
        clock: systemClock,
      })
      const token = (alg: string, key: CryptoKey | Uint8Array): Promise<string> =>
        new SignJWT({ 'https://hasura.io/jwt/claims': bobs })
          .setProtectedHeader({ alg, kid: 'one' })
          .setExpirationTime('1h')
          .sign(key)
      const good = { authorization: `Bearer ${await token('RS256', pair.privateKey)}` }
      expect(await authenticate(good)).toMatchObject({
        role: 'worker',
        variables: { 'x-hasura-user-id': '2' },
      })
      // What everybody can read is no secret to sign with.
      const forged = { authorization: `Bearer ${await token('HS256', Buffer.from(JSON.stringify(jwk)))}` }
      await expect(authenticate(forged)).rejects.toMatchObject({ code: 'invalid-jwt' })
    } finally {
      keys.closeAllConnections()
      await new Promise((resolve) => keys.close(resolve))
    }
  })
})
