/**
 * New authorities, and the change of an issuing certificate for the next one under the same root, as texts; `ca-files.ts`
 * keeps them. A change has three steps, so that no daemon ever meets a certificate of an issuer that it does not trust:
 *
 *   prepare: the next issuer is trusted → activate: it signs → retire: the former one is no longer trusted
 */
import type { KeyObject } from 'node:crypto'
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'

import { MusterError } from '../model/errors.ts'
import { decryptKeys, encryptKey } from './encrypted-key.ts'
import { issueIssuing, issueRoot } from './issue.ts'
import { pemBlocks, pemToDer } from './pem.ts'
import { issuerIdentityOf } from './sign-certificate.ts'
import { createKeySigner } from './signer.ts'

/** The files of an authority, each a PEM text. */
export interface AuthorityFiles {
  /** The active issuing certificate, others that are trusted, roots. */
  readonly certificates: string
  /** Encrypted keys of issuing certificates, in the order in which they were made. */
  readonly keys: string
  /** The root's encrypted key; undefined when it is kept elsewhere. */
  readonly rootKey: string | undefined
}

export const rotationSteps = ['prepare', 'activate', 'retire'] as const
export type RotationStep = (typeof rotationSteps)[number]

/** A root and an issuing authority under it. `now` is in milliseconds since the epoch. */
export async function makeAuthority(
  passphrase: string,
  now: number,
): Promise<AuthorityFiles & { readonly rootKey: string }> {
  const { privateKey: rootKey } = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
  const root = await issueRoot(createKeySigner(rootKey), randomBytes, now)
  const issuing = await makeIssuing(rootKey, root, now)
  return {
    certificates: issuing.certificate + root,
    keys: encryptKey(issuing.key, passphrase, randomBytes),
    rootKey: encryptKey(rootKey, passphrase, randomBytes),
  }
}

/**
 * The files after one step.
 * @throws MusterError `authority-unusable` when the step cannot be taken: no root key, nothing prepared
 */
export async function rotate(
  files: AuthorityFiles,
  step: RotationStep,
  passphrase: string,
  now: number,
): Promise<AuthorityFiles> {
  const { issuing, roots } = split(files.certificates)
  const [active, ...others] = issuing
  if (active === undefined) throw refuse('there is no issuing certificate')
  const written = (order: readonly string[], keys = files.keys): AuthorityFiles => ({
    ...files,
    certificates: [...order, ...roots].join(''),
    keys,
  })
  if (step === 'prepare') {
    const root = roots.find((pem) => new X509Certificate(active).verify(new X509Certificate(pem).publicKey))
    if (root === undefined) throw refuse('the root above the issuing certificate is missing')
    const next = await makeIssuing(rootKeyOf(files.rootKey, root, passphrase), root, now)
    return written(
      [
        active,
        next.certificate,
        ...others.filter((pem) => new X509Certificate(pem).validToDate.getTime() > now),
      ],
      files.keys + encryptKey(next.key, passphrase, randomBytes),
    )
  }
  const keys = keysOf(files.keys, passphrase)
  if (step === 'activate') {
    // Keys stand in the order in which they were made, whatever clocks said.
    const next = others.find((pem) => keyOf(pem, keys) > keyOf(active, keys))
    if (next === undefined) throw refuse('no issuing certificate is prepared; do that first')
    return written([next, active, ...others.filter((pem) => pem !== next)])
  }
  const key = keys[keyOf(active, keys)]
  if (key === undefined) throw refuse('the active issuing certificate has no key')
  return written([active], encryptKey(key, passphrase, randomBytes))
}

async function makeIssuing(
  rootKey: KeyObject,
  root: string,
  now: number,
): Promise<{ readonly key: KeyObject; readonly certificate: string }> {
  const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const issuer = { signer: createKeySigner(rootKey), identity: issuerIdentityOf(pemToDer(root)) }
  return { key, certificate: await issueIssuing(issuer, publicKey, randomBytes, now) }
}

function split(certificates: string): {
  readonly issuing: readonly string[]
  readonly roots: readonly string[]
} {
  const all = pemBlocks(certificates).map(({ pem }) => pem)
  const isRoot = (pem: string): boolean => {
    const certificate = new X509Certificate(pem)
    return certificate.checkIssued(certificate)
  }
  return { issuing: all.filter((pem) => !isRoot(pem)), roots: all.filter(isRoot) }
}

function rootKeyOf(rootKey: string | undefined, root: string, passphrase: string): KeyObject {
  if (rootKey === undefined) {
    throw refuse('the root’s key is not here: bring root-key.pem from where it is kept, by --root-key')
  }
  const key = keysOf(rootKey, passphrase).find((each) => new X509Certificate(root).checkPrivateKey(each))
  if (key === undefined) throw refuse('the root’s key is that of another root')
  return key
}

function keysOf(pem: string, passphrase: string): readonly KeyObject[] {
  const keys = decryptKeys(pem, passphrase)
  if (typeof keys === 'string') throw refuse(`the file of a key ${keys}`)
  return keys
}

/** Which of the keys is a certificate's; -1: none. */
function keyOf(pem: string, keys: readonly KeyObject[]): number {
  const certificate = new X509Certificate(pem)
  return keys.findIndex((key) => certificate.checkPrivateKey(key))
}

function refuse(why: string): MusterError {
  return new MusterError('authority-unusable', `the certificate authority cannot be changed: ${why}`)
}
