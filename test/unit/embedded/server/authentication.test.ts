import { describe, expect, it } from 'vitest'

import { createAuthentication } from '../../../../src/embedded/server/authentication.ts'
import { systemClock } from '../../../../src/lib/clock.ts'

const authenticate = createAuthentication({ adminSecret: 'secret', clock: systemClock })

it('takes the secret under either name, with the role and the variables', async () => {
  const headers = {
    'x-hasura-admin-secret': 'secret',
    'x-hasura-role': 'viewer',
    'x-hasura-user-id': '7',
    'x-hasura-use-backend-only-permissions': 'true',
    host: 'h',
  }
  expect(await authenticate(headers)).toEqual({
    role: 'viewer',
    variables: {
      'x-hasura-role': 'viewer',
      'x-hasura-user-id': '7',
      'x-hasura-use-backend-only-permissions': 'true',
    },
    isBackend: true,
  })
  expect(await authenticate({ 'x-hasura-access-key': 'secret' })).toEqual({
    role: 'admin',
    variables: { 'x-hasura-role': 'admin' },
    isBackend: false,
  })
})

const refused = { code: 'access-denied', path: '$' }

it.each([
  {},
  { 'x-hasura-admin-secret': '' },
  { 'x-hasura-admin-secret': 'Secret' },
  { 'x-hasura-admin-secret': 'secret ' },
])('refuses %j', async (headers) => {
  await expect(authenticate(headers)).rejects.toMatchObject(refused)
})

describe('with a role for the unauthorized', () => {
  const open = createAuthentication({ adminSecret: 'secret', unauthorizedRole: 'public', clock: systemClock })

  it('gives it to who has no secret, whatever else they say', async () => {
    const headers = {
      'x-hasura-role': 'admin',
      'x-hasura-user-id': '7',
      'x-hasura-use-backend-only-permissions': 'true',
    }
    expect(await open(headers)).toEqual({
      role: 'public',
      variables: { 'x-hasura-role': 'public' },
      isBackend: false,
    })
  })

  it('cannot be the one that may do everything', () => {
    expect(() =>
      createAuthentication({ adminSecret: 'secret', unauthorizedRole: 'admin', clock: systemClock }),
    ).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error)
  })

  it('refuses who has a wrong one', async () => {
    await expect(open({ 'x-hasura-admin-secret': 'guess' })).rejects.toMatchObject(refused)
  })
})
