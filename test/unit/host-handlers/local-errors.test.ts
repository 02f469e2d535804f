import { expect, it } from 'vitest'

import { launchErrorOf } from '../../../host-handlers/local/errors.ts'
import { LaunchError } from '../../../src/model/host-handler.ts'

it.each([
  ['EAGAIN', 'quota-exceeded'],
  ['ENOSPC', 'insufficient-capacity'],
  ['EACCES', 'unauthorized'],
  ['ENOENT', 'invalid-request'],
  ['EIO', 'transient'],
])('says %s in the words of launches', (errno, code) => {
  const cause = Object.assign(new Error('no'), { code: errno })
  expect(launchErrorOf(cause)).toMatchObject({ code, cause, message: 'cannot start a host: no' })
})

it('lets an error pass that is one already', () => {
  const error = new LaunchError('throttled', 'later')
  expect(launchErrorOf(error)).toBe(error)
})
