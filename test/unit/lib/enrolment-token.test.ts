import { expect, it } from 'vitest'

import { enrolmentToken, enrolmentTokenIsValid } from '../../../src/lib/enrolment-token.ts'

it('a token is of one fleet, one launch and one attempt', () => {
  const token = enrolmentToken('fleet key', 'local/demo:1.0', 1)
  expect(token).toMatch(/^[0-9a-f]{64}$/)
  expect(enrolmentTokenIsValid(token, 'fleet key', 'local/demo:1.0', 1)).toBe(true)
  expect(enrolmentTokenIsValid(token, 'another', 'local/demo:1.0', 1)).toBe(false)
  expect(enrolmentTokenIsValid(token, 'fleet key', 'local/demo:1.1', 1)).toBe(false)
  expect(enrolmentTokenIsValid(token, 'fleet key', 'local/demo:1.0', 2)).toBe(false)
  expect(enrolmentTokenIsValid('', 'fleet key', 'local/demo:1.0', 1)).toBe(false)
})
