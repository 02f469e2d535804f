import { describe, expect, it } from 'vitest'

import { endOfSocket, faultOf } from '../../../src/hasura/engine-errors.ts'

const graphql = (code: string, message = 'words', path = '$') => ({
  status: 200,
  errors: [{ message, extensions: { path, code } }],
})

describe('an error of the engine', () => {
  it.each([
    ['access-denied', 'invalid x-hasura-admin-secret/x-hasura-access-key', 'database-denied'],
    [
      'invalid-headers',
      "Missing 'Authorization' or 'Cookie' header in JWT authentication mode",
      'database-denied',
    ],
    ['invalid-jwt', 'Could not verify JWT: JWTExpired', 'database-denied'],
    ['validation-failed', "field 'fleet_hosts' not found in type: 'query_root'", 'schema-outdated'],
    ['validation-failed', 'field "revision" not found in type: \'fleet_hosts\'', 'schema-outdated'],
    ['validation-failed', "no such type exists in the schema: 'fleet_take_lease_args'", 'schema-outdated'],
    ['validation-failed', "unexpected null value for type 'Int'", 'database-refused'],
    ['constraint-violation', 'Uniqueness violation. duplicate key value …', 'database-refused'],
    ['permission-error', 'Check constraint violation. host h1: …', 'database-refused'],
    ['parse-failed', 'The value 2.147483648e9 lies outside the bounds …', 'database-refused'],
    ['data-exception', 'invalid input syntax', 'database-refused'],
    ['unexpected', 'database query error', 'database-unavailable'],
    ['postgres-error', 'connection error', 'database-unavailable'],
    ['concurrent-update', 'serialization failure due to concurrent update', 'database-unavailable'],
  ])('%s (%s) is %s', (code, message, ours) => {
    expect(faultOf(graphql(code, message))).toEqual({
      code: ours,
      retryable: ours === 'database-unavailable',
      words: `${code}: ${message}`,
    })
  })

  it('in the older shape is read too', () => {
    const errors = [{ path: '$', error: 'database query error', code: 'unexpected' }]
    expect(faultOf({ status: 400, errors })).toMatchObject({ words: 'unexpected: database query error' })
  })

  it.each([[null], ['words'], [{}], [{ extensions: null }], [{ message: 7, extensions: { code: 7 } }]])(
    'that cannot be read is one to try again: %j',
    (error) => expect(faultOf({ status: 200, errors: [error] }).code).toBe('database-unavailable'),
  )
})

describe('an answer that is no GraphQL', () => {
  it.each([
    [502, '<html>Bad gateway</html>', 'database-unavailable', 'HTTP 502'],
    [
      404,
      '{"path":"$","error":"resource does not exist","code":"not-found"}',
      'database-unavailable',
      'HTTP 404: not-found: resource does not exist',
    ],
    [429, '', 'database-unavailable', 'HTTP 429'],
    [401, '', 'database-denied', 'HTTP 401'],
    [403, 'Forbidden', 'database-denied', 'HTTP 403'],
  ])('of status %i (%s) is %s', (status, body, code, words) => {
    expect(faultOf({ status, body })).toEqual({ code, words, retryable: code === 'database-unavailable' })
  })
})

describe('the end of a socket', () => {
  const closed = (code: number, reason = '') => ({ code, reason })
  it.each([
    // As of about 2.17, and before it.
    [
      closed(4403, '{"server_error_msg":"4403: invalid x-hasura-admin-secret/x-hasura-access-key"}'),
      false,
      true,
    ],
    [
      closed(4400, '{"server_error_msg":"4400: invalid x-hasura-admin-secret/x-hasura-access-key"}'),
      false,
      true,
    ],
    [closed(4401, 'Unauthorized'), false, true],
    // Of an engine that knows us: a message that it could not read.
    [closed(4400, 'parsing ClientMessage failed'), true, false],
    [closed(4408, 'Connection initialisation timed out'), false, false],
    [closed(1000), true, false],
    [closed(1006), false, false],
    [closed(1012, 'restarting'), true, false],
    [new Error('getaddrinfo ENOTFOUND'), false, false],
    [[{ message: 'invalid JWT', extensions: { path: '$', code: 'invalid-jwt' } }], true, true],
    [[{ message: 'database query error', extensions: { path: '$', code: 'unexpected' } }], true, false],
    [undefined, false, false],
  ])('%o is a refusal of the secret only when it is one', (error, wasAcknowledged, isDenied) => {
    expect(endOfSocket(error, wasAcknowledged).isDenied).toBe(isDenied)
  })

  it('is told in the engine’s own words, and by what to mend', () => {
    const reason = '{"server_error_msg":"4403: invalid x-hasura-admin-secret/x-hasura-access-key"}'
    expect(endOfSocket(closed(4403, reason), false).why).toBe(
      'the engine refuses HASURA_GRAPHQL_ADMIN_SECRET: the socket closed (4403 invalid x-hasura-admin-secret/x-hasura-access-key)',
    )
    expect(endOfSocket(closed(1006), true).why).toBe('the socket closed (1006)')
    expect(
      endOfSocket(
        [
          { message: 'a', extensions: { code: 'x' } },
          { error: 'b', code: 'y' },
        ],
        true,
      ).why,
    ).toBe('x: a; y: b')
  })
})
