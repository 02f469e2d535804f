import type { AuthorityFiles } from '../../src/trust/make-authority.ts'
import { makeAuthority } from '../../src/trust/make-authority.ts'

export const caPassphrase = 'passphrase-of-the-tests'

let made: Promise<AuthorityFiles> | undefined

/** A certificate authority of the tests, as files' texts: one for each process, since its keys take a while. */
export function authorityFiles(): Promise<AuthorityFiles> {
  made ??= makeAuthority(caPassphrase, Date.now())
  return made
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
