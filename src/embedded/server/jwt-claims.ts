/** The engine's claims in a token that has been verified: which roles its bearer has, and the session's variables. */
import { HasuraError } from '../execution/hasura-error.ts'
import { jsonPath } from '../sql/json-path.ts'
import type { JwtOptions } from './jwt-options.ts'

type Fields = Readonly<Record<string, unknown>>

export interface RoleClaims {
  readonly allowedRoles: readonly string[]
  readonly defaultRole: string
  /** All others, names in lower case. */
  readonly variables: Readonly<Record<string, string>>
}

const defaultNamespace = 'https://hasura.io/jwt/claims'
const allowedRolesClaim = 'x-hasura-allowed-roles'
const defaultRoleClaim = 'x-hasura-default-role'

/** @throws HasuraError `jwt-invalid-claims`, `jwt-missing-role-claims` */
export function roleClaims(payload: Fields, options: JwtOptions): RoleClaims {
  const claims = lowerCased(
    options.claims_map === undefined ? namespaced(payload, options) : mapped(payload, options.claims_map),
  )
  const {
    [allowedRolesClaim]: allowedRoles = missing(allowedRolesClaim),
    [defaultRoleClaim]: defaultRole = missing(defaultRoleClaim),
    ...others
  } = claims
  if (!isTexts(allowedRoles)) throw wrong(`invalid ${allowedRolesClaim}; should be a list of roles`)
  if (typeof defaultRole !== 'string')
    throw wrong(`invalid ${defaultRoleClaim}; should be a single role name`)
  const variables = Object.entries(others).map(([name, value]) => {
    if (typeof value !== 'string') throw wrong(`x-hasura-* claims: ${name} should be a text`)
    return [name, value] as const
  })
  return { allowedRoles, defaultRole, variables: Object.fromEntries(variables) }
}

function namespaced(payload: Fields, options: JwtOptions): Fields {
  const { claims_namespace: namespace = defaultNamespace, claims_namespace_path: path } = options
  const found = path === undefined ? own(payload, namespace) : at(payload, path)
  if (found === undefined) {
    throw wrong(
      path === undefined
        ? `claims key: '${namespace}' not found`
        : `claims not found at claims_namespace_path: '${path}'`,
    )
  }
  if (options.claims_format === 'json') {
    if (isFields(found)) return found
    throw wrong('expecting a json object when claims_format is json')
  }
  if (typeof found !== 'string') throw wrong('expecting a string when claims_format is stringified_json')
  const parsed = parseFields(found)
  if (parsed === undefined) throw wrong(`expecting stringified json at: '${path ?? namespace}'`)
  return parsed
}

function mapped(payload: Fields, map: NonNullable<JwtOptions['claims_map']>): Fields {
  const entries = Object.entries(map).map(([name, source]) => {
    if (typeof source === 'string' || Array.isArray(source)) return [name, source] as const
    const value = at(payload, source.path) ?? source.default
    if (value !== undefined) return [name, value] as const
    const known = name.toLowerCase()
    if (known === allowedRolesClaim || known === defaultRoleClaim) return missing(known)
    throw wrong(`JWT claim from claims_map, ${known} not found`)
  })
  return Object.fromEntries(entries)
}

/** Only what may be a session variable. */
function lowerCased(claims: Fields): Fields {
  const entries = Object.entries(claims).map(([name, value]) => [name.toLowerCase(), value] as const)
  return Object.fromEntries(entries.filter(([name]) => name.startsWith('x-hasura-')))
}

function at(value: Fields, path: string): unknown {
  let here: unknown = value
  for (const key of jsonPath(path, '$')) {
    if (typeof here !== 'object' || here === null) return undefined
    here = own(here as Fields, key)
  }
  return here
}

/** What a payload says itself, never what an object has by nature. */
const own = (fields: Fields, key: string): unknown => (Object.hasOwn(fields, key) ? fields[key] : undefined)

function parseFields(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'string')

function missing(claim: string): never {
  throw new HasuraError('jwt-missing-role-claims', `JWT claim does not contain ${claim}`)
}

const wrong = (words: string): HasuraError => new HasuraError('jwt-invalid-claims', words)
