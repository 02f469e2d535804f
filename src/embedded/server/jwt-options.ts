/** How users' tokens are checked: the engine's `HASURA_GRAPHQL_JWT_SECRET`, as an object. */
import { createPublicKey, createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { z } from 'zod'

import { MusterError } from '../../model/errors.ts'

const secretBytes = { HS256: 32, HS384: 48, HS512: 64 } as const
/** Each with the kind of key that it needs. */
const publicKinds = {
  RS256: 'rsa',
  RS384: 'rsa',
  RS512: 'rsa',
  PS256: 'rsa',
  PS384: 'rsa',
  PS512: 'rsa',
  ES256: 'ec',
  ES384: 'ec',
  ES512: 'ec',
  Ed25519: 'ed25519',
} as const
const namesOf = <Name extends string>(table: Readonly<Record<Name, unknown>>): Name[] =>
  Object.keys(table) as Name[]

/** What a key set's keys may be for. A shared secret has no place in a public set. */
export const publicAlgorithms: readonly string[] = [...Object.keys(publicKinds), 'EdDSA']

/** Over plain HTTP anybody on the way could put in keys of their own. */
const isFromWhoItSays = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)

const claim = z.union([
  z.string(),
  z.array(z.string()),
  z.strictObject({
    path: z.string(),
    default: z.union([z.string(), z.array(z.string())]).optional(),
  }),
])

const schema = z
  .strictObject({
    type: z.enum([...namesOf(secretBytes), ...namesOf(publicKinds)]).optional(),
    key: z.string().min(1).optional(),
    jwk_url: z
      .url({ protocol: /^https?$/ })
      .refine((text) => isFromWhoItSays(new URL(text)), 'must be https (http only on this machine)')
      .optional(),
    /** The claim that holds the roles and variables. */
    claims_namespace: z.string().min(1).optional(),
    claims_namespace_path: z.string().startsWith('$').optional(),
    claims_format: z.enum(['json', 'stringified_json']).default('json'),
    /** Where each role claim and variable stands in the token, instead of a namespace. */
    claims_map: z.record(z.string().regex(/^x-hasura-/i), claim).optional(),
    audience: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
    issuer: z.string().optional(),
    /** Seconds by which the two clocks may differ. */
    allowed_skew: z.number().min(0).default(0),
    header: z
      .discriminatedUnion('type', [
        z.strictObject({ type: z.literal('Authorization') }),
        z.strictObject({ type: z.literal('Cookie'), name: z.string().min(1) }),
        z.strictObject({ type: z.literal('CustomHeader'), name: z.string().min(1) }),
      ])
      .default({ type: 'Authorization' }),
  })
  .refine(({ key, jwk_url: url }) => (key === undefined) !== (url === undefined), {
    error: 'one of key and jwk_url is needed',
  })
  .refine(({ key, type }) => key === undefined || type !== undefined, { error: 'a key needs its type' })
  .refine((given) => given.claims_namespace === undefined || given.claims_namespace_path === undefined, {
    error: 'claims_namespace and claims_namespace_path cannot both be set',
  })

export type JwtOptions = z.output<typeof schema>

/** Everything is checked here, the key too. @throws MusterError `config-invalid` that never says the key */
export function readJwtOptions(text: string): JwtOptions {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid(['it is not JSON'])
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) {
    throw invalid(parsed.error.issues.map(({ path, message }) => [...path, message].join(': ')))
  }
  const { key, type } = parsed.data
  if (key !== undefined && type !== undefined) keyOf(key, type)
  return parsed.data
}

/** @throws MusterError `config-invalid` for a key that is not one, or not one of the algorithm. */
export function keyOf(key: string, type: string): KeyObject {
  if (type in secretBytes) {
    const least = secretBytes[type as keyof typeof secretBytes]
    const bytes = Buffer.from(key)
    if (bytes.length < least) throw invalid([`key: ${type} needs at least ${least} bytes`])
    return createSecretKey(bytes)
  }
  let publicKey: KeyObject
  try {
    publicKey = createPublicKey(key)
  } catch {
    throw invalid(['key: it is neither a public key nor a certificate in PEM'])
  }
  if (publicKey.asymmetricKeyType !== publicKinds[type as keyof typeof publicKinds]) {
    throw invalid([`key: it is not one for ${type}`])
  }
  return publicKey
}

const invalid = (faults: readonly string[]): MusterError =>
  new MusterError('config-invalid', `HASURA_GRAPHQL_JWT_SECRET: ${faults.join('; ')}`, { details: faults })
