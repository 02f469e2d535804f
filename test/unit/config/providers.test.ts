import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'

import { loadConfig, readProviderOptions, secretsOf } from '../../../config/load.ts'
import { settings } from '../../../config/schema.ts'
import type { SettingName } from '../../../config/schema.ts'
import { awsOptions } from '../../../host-handlers/aws/options.ts'
import { providerFaults } from '../../../src/wiring/providers.ts'

let dataDir = ''
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'muster-providers-'))
})
afterEach(() => rmSync(dataDir, { recursive: true }))

const load = (environment: Record<string, string>) =>
  loadConfig({ MUSTER_DATA_DIR: dataDir, ...environment }, { generate: true })

describe('options of providers', () => {
  it('are none unless set', () => expect(load({}).providers).toEqual({}))

  it('have settings of their own, which go before MUSTER_PROVIDERS', () => {
    const { providers } = load({
      MUSTER_PROVIDERS: '{"aws": {"page_size": 100, "visibility_s": 5}, "./mine.ts": {"x": [1]}}',
      MUSTER_AWS_ENDPOINT: 'http://127.0.0.1:9',
      MUSTER_AWS_CLIENT_TOKENS: 'ignored',
      MUSTER_AWS_VISIBILITY_S: '1.5',
      MUSTER_AWS_REQUEST_TIMEOUT_S: '2',
      MUSTER_AGENT_COMMAND: '["true"]',
    })
    expect(providers).toEqual({
      aws: {
        endpoint: 'http://127.0.0.1:9',
        client_tokens: 'ignored',
        visibility_s: 1.5,
        request_timeout_s: 2,
        page_size: 100,
      },
      './mine.ts': { x: [1] },
      local: { agent_command: ['true'] },
    })
    // Every one of them is an option of the provider, which takes it as it is.
    expect(awsOptions.parse(providers['aws'])).toMatchObject({ ...providers['aws'] })
  })

  it('may be a mapping in the YAML file', () => {
    const file = join(dataDir, 'muster.yaml')
    writeFileSync(file, 'MUSTER_PROVIDERS:\n  aws:\n    page_size: 7\nMUSTER_AWS_VISIBILITY_S: 3\n')
    expect(load({ MUSTER_CONFIG: file }).providers).toEqual({ aws: { page_size: 7, visibility_s: 3 } })
  })

  it.each(['[]', '{"aws": 1}', '{', '{"": {}}', '"aws"'])('are refused as %s', (given) => {
    expect(() => load({ MUSTER_PROVIDERS: given })).toThrow('one fault')
  })

  it('are each checked by their provider, all at once, and beside settings that are wrong', async () => {
    const environment = {
      PORT: 'eighty',
      MUSTER_PROVIDERS: JSON.stringify({
        aws: { page_size: 1, visibility: 3 },
        local: { apps: 'x' },
        azure: {},
        './none.ts': {},
      }),
    }
    const faults = await providerFaults(readProviderOptions(environment), environment)
    expect(faults).toEqual([
      expect.stringMatching(/^options of provider aws: page_size: /),
      expect.stringMatching(/^options of provider aws: .*visibility/),
      expect.stringMatching(/^options of provider local: .*apps/),
      expect.stringMatching(/^options of provider azure: There is no provider "azure"/),
      expect.stringMatching(/^options of provider .\/none.ts: .*cannot be loaded/),
    ])
    expect(await providerFaults(readProviderOptions({ MUSTER_AWS_PAGE_SIZE: '5' }), {})).toEqual([])
  })

  it('keep their secrets, and those of AWS in the environment, out of the log', () => {
    const environment = {
      MUSTER_PROVIDERS: JSON.stringify({
        aws: { client_tokens: 'ignored' },
        './mine.ts': { user: 'me', api_key: 'secret-1', logins: [{ password: 'secret-2' }] },
      }),
      AWS_SECRET_ACCESS_KEY: 'secret-3',
      AWS_SESSION_TOKEN: 'secret-4',
    }
    const secrets = secretsOf(load(environment), environment)
    expect(secrets).toEqual(expect.arrayContaining(['secret-1', 'secret-2', 'secret-3', 'secret-4']))
    expect(secrets.filter((text) => text === 'ignored' || text === 'me')).toEqual([])
  })
})

/** Each bound stands in two places, since settings know no provider. */
test.each<[SettingName, keyof typeof awsOptions.shape, readonly (string | number)[]]>([
  ['MUSTER_AWS_ENDPOINT', 'endpoint', ['http://127.0.0.1:9', 'https://ec2.example', 'ftp://x', 'x']],
  ['MUSTER_AWS_CLIENT_TOKENS', 'client_tokens', ['honoured', 'ignored', 'kept']],
  ['MUSTER_AWS_VISIBILITY_S', 'visibility_s', [0, 600, -1, 601]],
  ['MUSTER_AWS_REQUEST_TIMEOUT_S', 'request_timeout_s', [0.1, 300, 0, 301]],
  ['MUSTER_AWS_PAGE_SIZE', 'page_size', [5, 1000, 4, 1001, 5.5]],
])('%s takes what the option %s of aws takes', (setting, option, values) => {
  const taken = (schema: { safeParse: (value: unknown) => { success: boolean } }) => (value: unknown) =>
    schema.safeParse(value).success
  expect(values.map((value) => taken(settings[setting].schema)(String(value)))).toEqual(
    values.map(taken(awsOptions.shape[option])),
  )
})

test('the address of an API server holds no user, since it is printed', () => {
  expect(settings.MUSTER_AWS_ENDPOINT.schema.safeParse('http://me:pass@127.0.0.1').success).toBe(false)
})
