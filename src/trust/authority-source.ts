import type { Authority } from './authority.ts'
import { openOwnAuthority } from './ca-files.ts'
import { openAuthority } from './open-authority.ts'

/** Where the authority comes from, as the configuration says it. */
export type AuthoritySource =
  | {
      readonly kind: 'given'
      readonly certificates: string
      readonly key: string
      readonly passphrase: string
    }
  | { readonly kind: 'own'; readonly directory: string; readonly passphrase: string }

/**
 * The authority that the configuration names; our own is made at the first call. `now` is in milliseconds since the
 * epoch, `lifetimeS` that of hosts' certificates. Asked again with the `current` one, it gives that unless there is a
 * newer.
 * @throws MusterError `authority-unusable` with every fault in `details`
 */
export async function authorityFrom(
  source: AuthoritySource,
  options: { readonly now: number; readonly lifetimeS: number },
  current?: Authority,
): Promise<Authority> {
  if (source.kind === 'own') return openOwnAuthority({ ...options, ...source }, current)
  if (current !== undefined) return current
  const { certificates, key: keys, passphrase } = source
  return openAuthority({ certificates, keys, passphrase }, options)
}
