import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { MusterError } from '../model/errors.ts'
import type { CheckedCredentials } from './credentials.ts'
import { checkCredentials } from './credentials.ts'
import { readOwnFile } from './credentials-store.ts'

/**
 * The files of a certificate that was downloaded with its key (`npx muster backends issue ID --out FILE.zip`).
 * @throws MusterError `invalid-request` when they do not fit together, `config-invalid` when others may read the key
 */
export async function readCertificateDirectory(directory: string): Promise<CheckedCredentials> {
  const read = (name: string): Promise<string> => readFile(join(directory, name), 'utf8').catch(missing)
  const [ca, certificate] = [await read('ca.pem'), await read('cert.pem')]
  const key = (await readOwnFile(join(directory, 'key.pem'))) ?? missing('there is no key.pem')
  const checked = checkCredentials({ key, certificate, ca })
  if (typeof checked !== 'string') return checked
  throw new MusterError('invalid-request', `${directory}: ${checked}`)

  function missing(cause: unknown): never {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new MusterError(
      'invalid-request',
      `${directory} must hold ca.pem, cert.pem and key.pem, as the zip does: ${why}`,
      { cause },
    )
  }
}
