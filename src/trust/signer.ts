import type { KeyObject } from 'node:crypto'
import { createPublicKey, sign } from 'node:crypto'
import { promisify } from 'node:util'

/** A key that signs, wherever it is: in memory, or behind a key management service. */
export interface Signer {
  /** On P-256 or P-384. */
  readonly publicKey: KeyObject
  /** ECDSA of the SHA-256 (P-256) or SHA-384 (P-384) of `tbs`, as DER. May throw when the key is out of reach. */
  sign(tbs: Buffer): Promise<Buffer>
}

interface SignatureAlgorithm {
  /** Object identifier, RFC 5758. */
  readonly oid: string
  readonly hash: 'sha256' | 'sha384'
}

const algorithms: Readonly<Record<string, SignatureAlgorithm>> = {
  prime256v1: { oid: '1.2.840.10045.4.3.2', hash: 'sha256' },
  secp384r1: { oid: '1.2.840.10045.4.3.3', hash: 'sha384' },
}

/** How a signer with this key signs; undefined for a key that an authority may not have. */
export function signatureAlgorithmOf(publicKey: KeyObject): SignatureAlgorithm | undefined {
  const curve = publicKey.asymmetricKeyDetails?.namedCurve
  return publicKey.asymmetricKeyType === 'ec' && curve !== undefined ? algorithms[curve] : undefined
}

const signInPool = promisify(
  (hash: string, data: Buffer, key: KeyObject, done: (error: Error | null, signature?: Buffer) => void) =>
    sign(hash, data, key, done),
)

/** A key in memory. */
export function createKeySigner(privateKey: KeyObject): Signer {
  const publicKey = createPublicKey(privateKey)
  const { hash } = signatureAlgorithmOf(publicKey) ?? { hash: 'sha256' }
  return {
    publicKey,
    sign: async (tbs) => (await signInPool(hash, tbs, privateKey)) ?? Buffer.alloc(0),
  }
}
