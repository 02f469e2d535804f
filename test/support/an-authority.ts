import { decryptKeys } from '../../src/trust/encrypted-key.ts'
import type { AuthorityFiles } from '../../src/trust/make-authority.ts'
import { makeAuthority } from '../../src/trust/make-authority.ts'

export const caPassphrase = 'passphrase-of-the-tests'

let made: Promise<AuthorityFiles> | undefined

/** A certificate authority of the tests, as files' texts: one for each process. */
export function authorityFiles(): Promise<AuthorityFiles> {
  made ??= newAuthorityFiles()
  return made
}

/** Another one. Its keys are encrypted by PBKDF2 with few rounds: opening ours takes 50 ms each, as it should. */
export async function newAuthorityFiles(): Promise<AuthorityFiles> {
  const files = await makeAuthority(caPassphrase, Date.now())
  return { ...files, keys: weaker(files.keys), rootKey: weaker(files.rootKey) }
}

function weaker(pem: string): string {
  const keys = decryptKeys(pem, caPassphrase)
  if (typeof keys === 'string') throw new Error(keys)
  const encryption = {
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: caPassphrase,
  } as const
  return keys.map((key) => key.export(encryption)).join('')
}

/** The same as settings of a daemon, for one whose database is not the built-in one. */
export async function authoritySettings(): Promise<Record<string, string>> {
  const { certificates, keys } = await authorityFiles()
  return {
    MUSTER_CA_CERTIFICATES: certificates,
    MUSTER_CA_KEY: keys,
    MUSTER_CA_PASSPHRASE: caPassphrase,
  }
}
