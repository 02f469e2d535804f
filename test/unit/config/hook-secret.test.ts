import { expect, it } from 'vitest'

import { settings } from '../../../config/schema.ts'

const secret = 'a-secret-of-thirty-two-characters'
const { schema } = settings.MUSTER_HOOK_SECRET

it.each([
  [undefined, undefined],
  [secret, [secret]],
  [`${secret}1, ${secret}2`, [`${secret}1`, `${secret}2`]],
])('%j is %j', (given, secrets) => {
  expect(schema.parse(given)).toEqual(secrets)
})

it.each([
  ['too short', 'short'],
  ['one of two too short', `${secret},`],
  ['three', `${secret}1,${secret}2,${secret}3`],
])('is refused when %s, without being told', (_what, given) => {
  const { success, error } = schema.safeParse(given)
  expect(success).toBe(false)
  expect(String(error)).not.toContain(secret)
})
