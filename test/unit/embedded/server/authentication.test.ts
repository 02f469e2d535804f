import { expect, it } from 'vitest'

import { adminSecretAuthentication } from '../../../../src/embedded/server/authentication.ts'

const authenticate = adminSecretAuthentication('secret')

it('takes the secret under either name, with the role and the variables', () => {
  const headers = {
    'x-hasura-admin-secret': 'secret',
    'x-hasura-role': 'viewer',
    'x-hasura-user-id': '7',
    host: 'h',
  }
  expect(authenticate(headers)).toEqual({
    role: 'viewer',
    variables: { 'x-hasura-role': 'viewer', 'x-hasura-user-id': '7' },
    isBackend: false,
  })
  expect(authenticate({ 'x-hasura-access-key': 'secret' })).toEqual({
    role: 'admin',
    variables: {},
    isBackend: false,
  })
})

it.each([
  {},
  { 'x-hasura-admin-secret': '' },
  { 'x-hasura-admin-secret': 'Secret' },
  { 'x-hasura-admin-secret': 'secret ' },
])('refuses %j', (headers) => {
  expect(() => authenticate(headers)).toThrow(
    expect.objectContaining({ code: 'access-denied', path: '$' }) as Error,
  )
})
