import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'

import { loadConfig, secretsOf, secretSettings } from '../../../config/load.ts'
import { settingNames, settings } from '../../../config/schema.ts'
import { MusterError } from '../../../src/model/errors.ts'

let dataDir = ''
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'muster-doors-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

const load = (environment: Record<string, string> = {}) =>
  loadConfig({ MUSTER_DATA_DIR: dataDir, ...environment }, { generate: true })

describe('secrets at rest', () => {
  it.each([0o644, 0o640, 0o604, 0o660])('that others may read (%o) keep the daemon from starting', (mode) => {
    load()
    const path = join(dataDir, 'secrets', 'fleet-key')
    chmodSync(path, mode)
    let refusal: unknown
    try {
      load()
    } catch (error) {
      refusal = error
    }
    expect(refusal).toBeInstanceOf(MusterError)
    expect(refusal).toMatchObject({
      code: 'config-invalid',
      details: [expect.stringContaining(`has mode 0${mode.toString(8)}: run "chmod 600 ${path}"`) as string],
    })
    chmodSync(path, 0o600)
    expect(load().fleetKey).toHaveLength(43)
  })

  it('are looked at however deep they lie, and whoever put them there', () => {
    mkdirSync(join(dataDir, 'secrets', 'more'), { recursive: true })
    writeFileSync(join(dataDir, 'secrets', 'more', 'key.pem'), 'k', { mode: 0o644 })
    expect(() => load()).toThrow('secrets can be read by others on this machine')
  })
})

describe('SSRF: the address of the key set', () => {
  const { schema } = settings.MUSTER_JWKS_URL
  it.each([
    'https://idp.example/jwks',
    'http://127.0.0.1:9/jwks',
    'http://localhost/jwks',
    'http://[::1]/jwks',
  ])('may be %s', (url) => expect(schema.safeParse(url).success).toBe(true))
  it.each([
    ...[
      'http://idp.example/jwks',
      'http://127.0.0.1.evil.example/',
      'http://localhost.evil/',
      'http://10.0.0.1/',
    ],
    ...['https://user:pass@idp.example/jwks', 'file:///etc/passwd', 'data:application/json,{}', 'jwks'],
  ])('is not %s', (url) => expect(schema.safeParse(url).success).toBe(false))
})

test.each([
  ['heroku', 'heroku'],
  ['10.0.0.0/8, ::1', ['10.0.0.0/8', '::1']],
  ['1', undefined],
  ['10.0.0.0/33', undefined],
  ['proxy.example', undefined],
  ['10.0.0.1/', undefined],
])('the trusted proxies %j are %j', (given, wanted) => {
  expect(settings.MUSTER_TRUSTED_PROXIES.schema.safeParse(given).data).toEqual(wanted)
})

test.each([
  ['https://a.example, http://*.b.example:8080', true],
  ['*', true],
  ['a.example', false],
  ['https://a.example/path', false],
  ['https://*', false],
])('the origins %j are taken: %s', (given, isGood) => {
  expect(settings.HASURA_GRAPHQL_CORS_DOMAIN.schema.safeParse(given).success).toBe(isGood)
})

test('doors that are wider than most people mean are said at the start', () => {
  expect(load().warnings).toEqual([])
  expect(load({ MUSTER_JWKS_URL: 'https://idp.example/', HASURA_GRAPHQL_CORS_DOMAIN: '*' }).warnings).toEqual(
    [
      expect.stringContaining('MUSTER_JWT_ISSUER and MUSTER_JWT_AUDIENCE: not set'),
      expect.stringContaining('HASURA_GRAPHQL_CORS_DOMAIN: *'),
    ],
  )
  const strict = { MUSTER_JWT_ISSUER: 'https://idp.example', MUSTER_JWT_AUDIENCE: 'muster' }
  expect(load({ MUSTER_JWKS_URL: 'https://idp.example/', ...strict }).warnings).toEqual([])
})

test('the log is told of every secret, and every setting that is one by its name is known as one', () => {
  const config = load({
    MUSTER_HOOK_SECRET: `${'h'.repeat(32)},${'i'.repeat(32)}`,
    MUSTER_ADMIN_SECRET_PREVIOUS: 'previous-secret',
    DATABASE_URL: 'postgres://fleet:p%40ss@127.0.0.1/fleet',
    ...{ HASURA_GRAPHQL_ADMIN_SECRET: 'a'.repeat(32), MUSTER_JWT_SECRET: 'j'.repeat(32) },
    ...{ MUSTER_FLEET_KEY: 'f'.repeat(32), ...authority },
  })
  expect(secretsOf(config, {})).toEqual(
    expect.arrayContaining([
      ...['a', 'j', 'f', 'h', 'i'].map((letter) => letter.repeat(32)),
      ...['previous-secret', 'p@ss', 'passphrase-of-tests'],
    ]),
  )
  const bySound = settingNames.filter((name) => /SECRET|KEY|PASS|DSN|DATABASE_URL/.test(name))
  expect(bySound.filter((name) => !/_FILE$|JWKS/.test(name) && !secretSettings.has(name))).toEqual([])
})

const authority = {
  MUSTER_CA_CERTIFICATES: 'certificates',
  MUSTER_CA_KEY: 'key',
  MUSTER_CA_PASSPHRASE: 'passphrase-of-tests',
}
