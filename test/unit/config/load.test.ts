import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it } from 'vitest'

import { loadConfig } from '../../../config/load.ts'
import { MusterError } from '../../../src/model/errors.ts'

let dataDir = ''
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'muster-config-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

function faultsOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig({ MUSTER_DATA_DIR: dataDir, ...environment }, { generate: true })
  } catch (error) {
    if (error instanceof MusterError && error.code === 'config-invalid') return error.details
    throw error
  }
  return []
}

const secrets = {
  HASURA_GRAPHQL_ADMIN_SECRET: 'a-secret-for-tests',
  MUSTER_JWT_SECRET: 'x'.repeat(32),
  MUSTER_FLEET_KEY: 'y'.repeat(32),
}
const authority = {
  MUSTER_CA_CERTIFICATES: '-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----',
  MUSTER_CA_KEY: 'key',
  MUSTER_CA_PASSPHRASE: 'passphrase',
}

describe('loadConfig', () => {
  it('has a default for everything on the built-in database, and generates secrets once, for this user only', () => {
    const first = loadConfig({ MUSTER_DATA_DIR: dataDir }, { generate: true })
    const second = loadConfig({ MUSTER_DATA_DIR: dataDir }, { generate: true })
    expect(first.database).toEqual({ kind: 'pglite', dataDir: join(dataDir, 'pglite') })
    expect(first.settings.PORT).toBe(7730)
    expect(second.adminSecret).toBe(first.adminSecret)
    expect(first.adminSecret.length).toBeGreaterThanOrEqual(32)
    for (const file of ['admin-secret', 'jwt-secret', 'fleet-key', 'ca-passphrase']) {
      expect(statSync(join(dataDir, 'secrets', file)).mode & 0o777).toBe(0o600)
    }
    expect(readFileSync(join(dataDir, 'secrets', 'admin-secret'), 'utf8').trim()).toBe(first.adminSecret)
  })

  it('does not make secrets for a database that others use too', () => {
    const faults = faultsOf({ DATABASE_URL: 'postgres://127.0.0.1/fleet' })
    expect(faults).toHaveLength(4)
    for (const name of [...Object.keys(secrets), ...Object.keys(authority), 'npx muster ca init --out DIR']) {
      expect(faults.some((fault) => fault.includes(name))).toBe(true)
    }
  })

  it('prefers a real Hasura to DATABASE_URL, and completes its path', () => {
    const config = loadConfig(
      {
        ...secrets,
        ...authority,
        DATABASE_URL: 'postgres://127.0.0.1/fleet',
        HASURA_GRAPHQL_ENDPOINT: 'http://127.0.0.1:9/',
      },
      { generate: true },
    )
    expect(config.database).toEqual({ kind: 'hasura', endpoint: 'http://127.0.0.1:9/v1/graphql' })
    expect(config.seedFile).toBeUndefined()
  })

  it('reports all faults at once, each with what the setting means', () => {
    const faults = faultsOf({
      PORT: 'eighty',
      LOG_LEVEL: 'loud',
      DATABASE_URL: 'mysql://x',
      ...secrets,
      ...authority,
    })
    expect(faults).toHaveLength(3)
    expect(faults.join('\n')).toMatch(/PORT: .*HTTP API port/)
  })

  it('takes settings from a file under the environment, and is strict about its keys', () => {
    const file = join(dataDir, 'muster.yaml')
    writeFileSync(file, 'PORT: 7777\nMUSTER_LEASE_S: 5\n')
    const config = loadConfig(
      { MUSTER_DATA_DIR: dataDir, MUSTER_CONFIG: file, PORT: '7778' },
      { generate: true },
    )
    expect(config.settings.PORT).toBe(7778)
    expect(config.settings.MUSTER_LEASE_S).toBe(5)
    writeFileSync(file, 'PROT: 7777\n')
    expect(faultsOf({ MUSTER_CONFIG: file })[0]).toMatch(/PROT: no such setting; did you mean PORT/)
  })

  it('warns of variables that look like settings and are none', () => {
    const config = loadConfig({ MUSTER_DATA_DIR: dataDir, MUSTER_HEARTBEATS: '1' }, { generate: true })
    expect(config.warnings[0]).toMatch(/MUSTER_HEARTBEATS: no such setting; did you mean MUSTER_HEARTBEAT_S/)
  })

  it('warns of secrets that may be guessed', () => {
    const config = loadConfig({ MUSTER_DATA_DIR: dataDir, MUSTER_JWT_SECRET: 'short' }, { generate: true })
    expect(config.warnings).toEqual([expect.stringMatching(/^MUSTER_JWT_SECRET: shorter than 32/)])
  })

  it('says which folder it cannot use', () => {
    writeFileSync(join(dataDir, 'file'), '')
    expect(() => loadConfig({ MUSTER_DATA_DIR: join(dataDir, 'file') }, { generate: true })).toThrow(
      /data directory cannot be used/,
    )
  })

  it('wants one source of users’ tokens', () => {
    const both = { ...secrets, MUSTER_JWKS_URL: 'https://127.0.0.1/jwks' }
    expect(faultsOf(both)).toEqual(['MUSTER_JWT_SECRET and MUSTER_JWKS_URL: set one of them, not both'])
  })

  it('makes a certificate authority on the built-in database, unless one is brought', () => {
    const load = (environment: Record<string, string>) =>
      loadConfig({ MUSTER_DATA_DIR: dataDir, ...environment }, { generate: true }).authority
    const own = load({})
    expect(own).toMatchObject({ kind: 'own', directory: join(dataDir, 'trust') })
    expect(own.passphrase.length).toBeGreaterThanOrEqual(32)
    expect(load({ MUSTER_CA_PASSPHRASE: 'mine' })).toMatchObject({ kind: 'own', passphrase: 'mine' })
    expect(load(authority)).toEqual({
      kind: 'given',
      certificates: '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----',
      key: 'key',
      passphrase: 'passphrase',
    })
  })

  it('takes the certificate authority whole, from settings or files, and says what is missing', () => {
    const file = join(dataDir, 'passphrase')
    writeFileSync(file, 'from a file\n')
    const { MUSTER_CA_PASSPHRASE: _, ...rest } = authority
    const config = loadConfig(
      { MUSTER_DATA_DIR: dataDir, ...rest, MUSTER_CA_PASSPHRASE_FILE: file },
      { generate: true },
    )
    expect(config.authority.passphrase).toBe('from a file')
    expect(faultsOf({ ...authority, MUSTER_CA_PASSPHRASE_FILE: file })).toEqual([
      'MUSTER_CA_PASSPHRASE and MUSTER_CA_PASSPHRASE_FILE: set one of them, not both',
    ])
    expect(faultsOf({ ...rest, MUSTER_CA_PASSPHRASE_FILE: join(dataDir, 'none') })[0]).toMatch(
      /^MUSTER_CA_PASSPHRASE_FILE: .* cannot be read: ENOENT/,
    )
    expect(faultsOf(rest)).toEqual([
      expect.stringMatching(/^MUSTER_CA_PASSPHRASE \(or each as …_FILE\): must be set, .*npx muster ca init/),
    ])
  })
})
