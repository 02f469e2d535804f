/** Where the certificate authority comes from: brought by the operator, or our own on the built-in database. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { MusterError } from '../src/model/errors.ts'
import type { Settings } from './schema.ts'

export type AuthorityConfig =
  | {
      readonly kind: 'given'
      /** PEM. */
      readonly certificates: string
      /** Encrypted PKCS#8, PEM. */
      readonly key: string
      readonly passphrase: string
    }
  | { readonly kind: 'own'; readonly directory: string; readonly passphrase: string }

const names = ['MUSTER_CA_CERTIFICATES', 'MUSTER_CA_KEY', 'MUSTER_CA_PASSPHRASE'] as const
type Name = (typeof names)[number]
export type GivenAuthority = Readonly<Record<Name, string | undefined>>

/** What is given, from the settings or the files that they name. What is missing is a fault, unless it can be made. */
export function givenAuthority(
  checked: Partial<Settings>,
  isBuiltIn: boolean,
  faults: string[],
): GivenAuthority {
  const found = faults.length
  const given: GivenAuthority = {
    MUSTER_CA_CERTIFICATES: textOf('MUSTER_CA_CERTIFICATES', checked, faults),
    MUSTER_CA_KEY: textOf('MUSTER_CA_KEY', checked, faults),
    MUSTER_CA_PASSPHRASE: textOf('MUSTER_CA_PASSPHRASE', checked, faults),
  }
  const isOwn = given.MUSTER_CA_CERTIFICATES === undefined && given.MUSTER_CA_KEY === undefined
  if (faults.length > found || (isBuiltIn && isOwn)) return given
  const missing = names.filter((name) => given[name] === undefined)
  if (missing.length > 0) {
    const why = isBuiltIn
      ? 'since the rest of a certificate authority is given'
      : 'since the database is not the built-in one, where a certificate authority is made'
    faults.push(
      `${missing.join(', ')} (or each as …_FILE): must be set, ${why}; "npx muster ca init --out DIR" makes them`,
    )
  }
  return given
}

/**
 * MUSTER_CA_PASSPHRASE alone, for commands that work on files before there is a configuration.
 * @throws MusterError `config-invalid`
 */
export function caPassphrase(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const faults: string[] = []
  const given = (name: Name | `${Name}_FILE`): string | undefined => environment[name] || undefined
  const passphrase = textOf(
    'MUSTER_CA_PASSPHRASE',
    {
      MUSTER_CA_PASSPHRASE: given('MUSTER_CA_PASSPHRASE'),
      MUSTER_CA_PASSPHRASE_FILE: given('MUSTER_CA_PASSPHRASE_FILE'),
    },
    faults,
  )
  if (faults.length > 0) {
    throw new MusterError('config-invalid', 'the passphrase cannot be read', { details: faults })
  }
  return passphrase
}

/** `passphrase` is the generated one where none is given. */
export function authorityConfigOf(
  given: GivenAuthority,
  passphrase: string,
  dataDir: string,
): AuthorityConfig {
  const { MUSTER_CA_CERTIFICATES: certificates, MUSTER_CA_KEY: key } = given
  return certificates === undefined || key === undefined
    ? { kind: 'own', directory: resolve(dataDir, 'trust'), passphrase }
    : { kind: 'given', certificates, key, passphrase }
}

function textOf(name: Name, checked: Partial<Settings>, faults: string[]): string | undefined {
  const text = checked[name]
  const file = checked[`${name}_FILE`]
  if (file === undefined) return text
  if (text !== undefined) {
    faults.push(`${name} and ${name}_FILE: set one of them, not both`)
    return undefined
  }
  try {
    // The end of a text file's last line is no part of a passphrase, and none that matters of a certificate.
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    faults.push(
      `${name}_FILE: ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
    return undefined
  }
}
