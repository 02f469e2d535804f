/** From the environment, `.env` and a YAML file to one checked `Config`. All faults are reported at once. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { parse as parseDotenv } from 'dotenv'
import { parse as parseYaml } from 'yaml'

import { MusterError } from '../src/model/errors.ts'
import type { AuthorityConfig } from './authority.ts'
import { authorityConfigOf, givenAuthority } from './authority.ts'
import type { Environment } from './environment.ts'
import type { ProviderOptions } from './providers.ts'
import { providerOptionsOf, providerSecrets } from './providers.ts'
import { readOrGenerateSecrets } from './secrets.ts'
import type { SettingName, Settings } from './schema.ts'
import { settingNames, settings } from './schema.ts'

export type DatabaseConfig =
  | { readonly kind: 'hasura'; readonly endpoint: string }
  | { readonly kind: 'postgres'; readonly url: string; readonly poolSize: number }
  | { readonly kind: 'pglite'; readonly dataDir: string }

export interface Config {
  readonly settings: Settings
  readonly dataDir: string
  readonly database: DatabaseConfig
  readonly adminSecret: string
  readonly jwt: ({ readonly secret: string } | { readonly jwksUrl: string }) & {
    readonly issuer: string | undefined
    readonly audience: string | undefined
    readonly maxAgeS: number
  }
  readonly fleetKey: string
  readonly authority: AuthorityConfig
  /** Where the secrets are that were generated, for people; undefined when all were given. */
  readonly secretsDir: string | undefined
  /** What the settings say of providers, unchecked: each provider knows what it takes. */
  readonly providers: ProviderOptions
  /** YAML of regions for a new database; undefined: none. */
  readonly seedFile: string | undefined
  /** Faults that do no harm. */
  readonly warnings: readonly string[]
}

const strongLength = 32
const projectDir = resolve(import.meta.dirname, '..')

/** The process's environment over `.env` of the working directory. */
export function readEnvironment(): Environment {
  let dotenv: Record<string, string> = {}
  try {
    dotenv = parseDotenv(readFileSync('.env'))
  } catch {
    // No .env is the normal case in production.
  }
  return { ...dotenv, ...process.env }
}

/**
 * Check every setting. With `generate`, secrets that may be generated are made and kept in the data directory.
 * @throws MusterError `config-invalid` with every fault in `details`
 */
export function loadConfig(environment: Environment, options: { generate: boolean }): Config {
  const faults: string[] = []
  const checked = checkSettings(environment, faults)
  const dataDir = resolve(checked.MUSTER_DATA_DIR ?? './data')
  const database = databaseOf(checked, dataDir)
  if (checked.MUSTER_JWT_SECRET !== undefined && checked.MUSTER_JWKS_URL !== undefined) {
    faults.push('MUSTER_JWT_SECRET and MUSTER_JWKS_URL: set one of them, not both')
  }
  const authority = givenAuthority(checked, database.kind === 'pglite', faults)
  const wanted = {
    'admin-secret': { name: 'HASURA_GRAPHQL_ADMIN_SECRET', given: checked.HASURA_GRAPHQL_ADMIN_SECRET },
    'jwt-secret': {
      name: 'MUSTER_JWT_SECRET',
      given: checked.MUSTER_JWT_SECRET ?? (checked.MUSTER_JWKS_URL && ''),
    },
    'fleet-key': { name: 'MUSTER_FLEET_KEY', given: checked.MUSTER_FLEET_KEY },
  } as const
  if (database.kind !== 'pglite') {
    for (const { name, given } of Object.values(wanted)) {
      const alternative = name === 'MUSTER_JWT_SECRET' ? ' (or MUSTER_JWKS_URL)' : ''
      const isFaulty = faults.some((fault) => fault.startsWith(`${name}:`))
      if (given === undefined && !isFaulty) {
        faults.push(
          `${name}${alternative}: must be set, since the database is not the built-in one; secrets are generated only there`,
        )
      }
    }
  }
  if (faults.length > 0) throw invalidConfig(faults)

  const passphrase = { name: 'MUSTER_CA_PASSPHRASE', given: authority.MUSTER_CA_PASSPHRASE }
  const secrets = readOrGenerateSecrets(dataDir, { ...wanted, 'ca-passphrase': passphrase }, options.generate)
  const complete = checked as Settings
  return {
    settings: complete,
    dataDir,
    database,
    adminSecret: secrets.values['admin-secret'],
    jwt: {
      ...(complete.MUSTER_JWKS_URL === undefined
        ? { secret: secrets.values['jwt-secret'] }
        : { jwksUrl: complete.MUSTER_JWKS_URL }),
      issuer: complete.MUSTER_JWT_ISSUER,
      audience: complete.MUSTER_JWT_AUDIENCE,
      maxAgeS: complete.MUSTER_JWT_MAX_AGE_S,
    },
    fleetKey: secrets.values['fleet-key'],
    authority: authorityConfigOf(authority, secrets.values['ca-passphrase'], dataDir),
    secretsDir: secrets.directory,
    providers: providerOptionsOf(complete),
    seedFile: seedFileOf(complete, database),
    warnings: [
      ...unknownVariables(environment),
      ...weakSecrets(complete),
      ...wideDoors(complete),
      ...idleSettings(complete),
    ],
  }
}

/** What of `Config.providers` can be read, whatever else is wrong: so that all faults are reported at once. */
export function readProviderOptions(environment: Environment): ProviderOptions {
  return providerOptionsOf(checkSettings(environment, []))
}

function checkSettings(environment: Environment, faults: string[]): Partial<Settings> {
  const values: Record<string, unknown> = { ...fileSettings(environment['MUSTER_CONFIG'], faults) }
  for (const name of settingNames) {
    // An empty variable is an unset one, as in most shells' habits.
    if (environment[name] !== undefined && environment[name] !== '') values[name] = environment[name]
  }
  const checked: Record<string, unknown> = {}
  for (const name of settingNames) {
    const result = settings[name].schema.safeParse(values[name])
    if (result.success) checked[name] = result.data
    else
      faults.push(...result.error.issues.map((issue) => `${name}: ${issue.message} (${settings[name].doc})`))
  }
  return checked
}

/**
 * Variables that look like settings and are none: perhaps misspelt, perhaps another program's, so a warning only.
 */
function unknownVariables(environment: Environment): readonly string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('MUSTER_') && !(name in settings) && name !== 'MUSTER_CONFIG')
    .map((name) => `${name}: no such setting; ${suggestion(name)}`)
}

/** Said, not refused: a trial must not fail for it, and whoever runs a fleet is told at each start. */
function weakSecrets(complete: Settings): readonly string[] {
  const names = [
    'HASURA_GRAPHQL_ADMIN_SECRET',
    'MUSTER_ADMIN_SECRET_PREVIOUS',
    'MUSTER_JWT_SECRET',
    'MUSTER_FLEET_KEY',
  ] as const
  return names
    .filter((name) => (complete[name]?.length ?? strongLength) < strongLength)
    .map((name) => `${name}: shorter than ${strongLength} characters, so it may be guessed`)
}

/** What lets in more than is meant, most often. */
function wideDoors(complete: Settings): readonly string[] {
  const { MUSTER_JWKS_URL, MUSTER_JWT_ISSUER, MUSTER_JWT_AUDIENCE, HASURA_GRAPHQL_CORS_DOMAIN } = complete
  const unset = Object.entries({ MUSTER_JWT_ISSUER, MUSTER_JWT_AUDIENCE })
    .filter(([, value]) => value === undefined)
    .map(([name]) => name)
  return [
    ...(MUSTER_JWKS_URL !== undefined && unset.length > 0
      ? [
          `${unset.join(' and ')}: not set, so tokens that MUSTER_JWKS_URL's owner signs for others are taken too`,
        ]
      : []),
    ...(HASURA_GRAPHQL_CORS_DOMAIN.includes('*')
      ? ['HASURA_GRAPHQL_CORS_DOMAIN: *, so any page in a browser may speak to the embedded endpoint']
      : []),
  ]
}

function idleSettings({ MUSTER_IMAGES_FILE, MUSTER_IMAGES_VERSION }: Settings): readonly string[] {
  return MUSTER_IMAGES_VERSION !== undefined && MUSTER_IMAGES_FILE === undefined
    ? ['MUSTER_IMAGES_VERSION: it counts for nothing without MUSTER_IMAGES_FILE']
    : []
}

function suggestion(name: string): string {
  const letters = new Set(name)
  const score = (other: string) =>
    [...letters].filter((letter) => other.includes(letter)).length - Math.abs(other.length - name.length)
  const [best] = [...settingNames].sort((a, b) => score(b) - score(a))
  return `did you mean ${best ?? 'another'}? docs/settings.md lists all`
}

function fileSettings(path: string | undefined, faults: string[]): Record<string, unknown> {
  if (path === undefined || path === '') return {}
  let content: unknown
  try {
    content = parseYaml(readFileSync(path, 'utf8'))
  } catch (error) {
    faults.push(
      `MUSTER_CONFIG: ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
    return {}
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    faults.push(`MUSTER_CONFIG: ${path} must hold a mapping of settings, such as "PORT: 7730"`)
    return {}
  }
  for (const name of Object.keys(content)) {
    if (!(name in settings)) faults.push(`${path}: ${name}: no such setting; ${suggestion(name)}`)
  }
  return Object.fromEntries(
    Object.entries(content)
      .filter(([name]) => name in settings)
      .map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  )
}

function databaseOf(checked: Partial<Settings>, dataDir: string): DatabaseConfig {
  if (checked.HASURA_GRAPHQL_ENDPOINT !== undefined) {
    const base = checked.HASURA_GRAPHQL_ENDPOINT.replace(/\/+$/, '')
    return { kind: 'hasura', endpoint: base.endsWith('/v1/graphql') ? base : `${base}/v1/graphql` }
  }
  if (checked.DATABASE_URL !== undefined) {
    return { kind: 'postgres', url: checked.DATABASE_URL, poolSize: checked.MUSTER_DATABASE_POOL ?? 16 }
  }
  return { kind: 'pglite', dataDir: resolve(dataDir, 'pglite') }
}

function seedFileOf(checked: Settings, database: DatabaseConfig): string | undefined {
  if (checked.MUSTER_SEED === 'none') return undefined
  if (checked.MUSTER_SEED !== undefined) return resolve(checked.MUSTER_SEED)
  return database.kind === 'hasura' ? undefined : resolve(projectDir, 'config/seed/demo.yaml')
}

export function invalidConfig(faults: readonly string[]): MusterError {
  const count = faults.length === 1 ? 'one fault' : `${faults.length} faults`
  return new MusterError('config-invalid', `the configuration has ${count}`, { details: faults })
}

/** Every secret of the configuration, and of the providers' in the environment, for the log to leave out. */
export function secretsOf(config: Config, environment: Environment): readonly string[] {
  const { settings: given, adminSecret, jwt, fleetKey, authority } = config
  const named = Array.from(secretSettings, (name) => given[name]).flat()
  const database = given.DATABASE_URL === undefined ? '' : passwordOf(given.DATABASE_URL)
  const made = [adminSecret, fleetKey, authority.passphrase, 'secret' in jwt ? jwt.secret : '']
  const ofProviders = providerSecrets(config.providers, environment)
  return [...made, ...ofProviders, database, ...named].flatMap((one) =>
    typeof one === 'string' && one !== '' ? [one] : [],
  )
}

function passwordOf(url: string): string {
  const { password } = new URL(url)
  try {
    return decodeURIComponent(password)
  } catch {
    return password
  }
}

/** Names of settings that hold secrets: never printed. */
export const secretSettings: ReadonlySet<SettingName> = new Set([
  'HASURA_GRAPHQL_ADMIN_SECRET',
  'MUSTER_ADMIN_SECRET_PREVIOUS',
  'HASURA_GRAPHQL_JWT_SECRET',
  'MUSTER_JWT_SECRET',
  'MUSTER_FLEET_KEY',
  'MUSTER_CA_KEY',
  'MUSTER_CA_PASSPHRASE',
  'MUSTER_HOOK_SECRET',
  'DATABASE_URL',
  'SENTRY_DSN',
  'MUSTER_PROVIDERS',
])
