import { randomBytes, X509Certificate } from 'node:crypto'
import { join, resolve } from 'node:path'

import { caPassphrase } from '../../config/authority.ts'
import { loadConfig, readEnvironment } from '../../config/load.ts'
import { MusterError } from '../model/errors.ts'
import type { Authority } from '../trust/authority.ts'
import { authorityFrom } from '../trust/authority-source.ts'
import {
  caFileNames,
  ownAuthorityPath,
  readCaFiles,
  readPassphrase,
  rotateFiles,
  rotateOwn,
  writeCaFiles,
} from '../trust/ca-files.ts'
import type { RotationStep } from '../trust/make-authority.ts'
import { makeAuthority } from '../trust/make-authority.ts'
import { openAuthority } from '../trust/open-authority.ts'
import { toPem } from '../trust/pem.ts'
import { downloadFromApi } from './api-client.ts'
import { table } from './table.ts'

/** Make an authority for daemons whose database is not the built-in one. */
export async function initCa(out: string): Promise<void> {
  const directory = resolve(out)
  const given = caPassphrase(readEnvironment())
  const passphrase = given ?? randomBytes(32).toString('base64url')
  const now = Date.now()
  const files = await makeAuthority(passphrase, now)
  await writeNew(directory, files, now, given === undefined ? passphrase : undefined)
  print(`A certificate authority is in ${directory}. Keep ${caFileNames.rootKey} offline: it is needed for`)
  print('"muster ca rotate" only. Set, on every daemon of the fleet:\n')
  printSettings(directory, given === undefined)
  print('\nWhere there are no files, set the same names without _FILE to what the files hold.')
}

/** Print what a configuration, or a directory, holds. */
export async function showCa(dir: string | undefined): Promise<void> {
  const authority = await (dir === undefined ? configuredAuthority() : authorityIn(resolve(dir)))
  const rows = authority.trusted.map((pem, index) => {
    const certificate = new X509Certificate(pem)
    const isRoot = certificate.checkIssued(certificate)
    return [
      isRoot ? 'root' : index === 0 ? 'issuing, active' : 'issuing, trusted',
      certificate.subject.replaceAll('\n', ', '),
      certificate.validToDate.toISOString(),
    ]
  })
  process.stdout.write(table(['ROLE', 'NAME', 'UNTIL'], rows))
  print('')
  for (const pin of authority.pins) print(`pin: ${pin}`)
}

/** The next issuing certificate: prepared and activated, or one step of it. */
export async function rotateCa(options: {
  step?: RotationStep
  dir?: string
  out?: string
  rootKey?: string
}): Promise<void> {
  const steps: readonly RotationStep[] = options.step === undefined ? ['prepare', 'activate'] : [options.step]
  const now = Date.now()
  if (options.dir === undefined) {
    const { authority } = loadConfig(readEnvironment(), { generate: false })
    if (authority.kind === 'given' || options.out !== undefined || options.rootKey !== undefined) {
      throw new MusterError(
        'invalid-request',
        'name the directory of its files by --dir, and a new one for the next by --out',
      )
    }
    print(`${await rotateOwn(authority.directory, steps, authority.passphrase, now)} is written.`)
    print('A daemon that runs takes it within a minute.')
    return
  }
  if (options.out === undefined) {
    throw new MusterError('invalid-request', 'name a new directory by --out: the old one is left as it is')
  }
  const [from, to] = [resolve(options.dir), resolve(options.out)]
  const beside = await readPassphrase(from)
  const files = await rotateFiles(from, steps, passphraseFor(from, beside), now, options.rootKey)
  await writeNew(to, files, now, beside)
  print(`${to} is written. Set, on every daemon, and start them again one after the other:\n`)
  printSettings(to, beside !== undefined)
}

/** The list that the running daemon signs. */
export async function printCrl(): Promise<void> {
  process.stdout.write(toPem('X509 CRL', await downloadFromApi('/v1/pki/crl')))
}

async function configuredAuthority(): Promise<Authority> {
  const { authority, settings } = loadConfig(readEnvironment(), { generate: false })
  if (authority.kind === 'own' && (await ownAuthorityPath(authority.directory)) === undefined) {
    throw new MusterError(
      'authority-unusable',
      'there is no certificate authority yet: the first start makes it',
    )
  }
  return authorityFrom(authority, { now: Date.now(), lifetimeS: settings.MUSTER_CERTIFICATE_LIFETIME_S })
}

async function authorityIn(directory: string): Promise<Authority> {
  const files = await readCaFiles(directory)
  const passphrase = passphraseFor(directory, await readPassphrase(directory))
  const names = {
    certificates: join(directory, caFileNames.certificates),
    keys: join(directory, caFileNames.keys),
  }
  return openAuthority({ ...files, passphrase }, { now: Date.now(), lifetimeS: 60, names })
}

function passphraseFor(directory: string, beside: string | undefined): string {
  const passphrase = caPassphrase(readEnvironment()) ?? beside
  if (passphrase !== undefined) return passphrase
  throw new MusterError(
    'config-invalid',
    `set MUSTER_CA_PASSPHRASE (or MUSTER_CA_PASSPHRASE_FILE) to the passphrase of the keys in ${directory}`,
  )
}

async function writeNew(
  directory: string,
  files: Awaited<ReturnType<typeof readCaFiles>>,
  now: number,
  passphrase: string | undefined,
): Promise<void> {
  if (await writeCaFiles(directory, files, now, passphrase)) return
  throw new MusterError(
    'invalid-request',
    `there is something at ${directory} already; name a directory that does not exist`,
  )
}

function printSettings(directory: string, hasPassphrase: boolean): void {
  print(`MUSTER_CA_CERTIFICATES_FILE=${join(directory, caFileNames.certificates)}`)
  print(`MUSTER_CA_KEY_FILE=${join(directory, caFileNames.keys)}`)
  print(
    hasPassphrase
      ? `MUSTER_CA_PASSPHRASE_FILE=${join(directory, caFileNames.passphrase)}`
      : 'MUSTER_CA_PASSPHRASE=(as it is set now)',
  )
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
