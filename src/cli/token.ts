import { createSecretKey } from 'node:crypto'

import { SignJWT } from 'jose'

import { loadConfig, readEnvironment } from '../../config/load.ts'
import { MusterError } from '../model/errors.ts'

/** Print a token signed with MUSTER_JWT_SECRET. */
export async function token(options: { user: string; role?: string; ttl: number }): Promise<void> {
  process.stdout.write(`${await signToken(options)}\n`)
}

/** @throws MusterError `config-invalid` when tokens are somebody else's to sign, `invalid-request` */
export async function signToken({
  user,
  role,
  ttl,
}: {
  user: string
  role?: string
  ttl: number
}): Promise<string> {
  const { jwt } = loadConfig(readEnvironment(), { generate: true })
  if (!('secret' in jwt)) {
    throw new MusterError(
      'config-invalid',
      'tokens are signed by the owner of MUSTER_JWKS_URL, not by Muster',
    )
  }
  const { issuer: iss, audience: aud, maxAgeS } = jwt
  if (ttl > maxAgeS) {
    throw new MusterError(
      'invalid-request',
      `no token counts for longer than ${maxAgeS} s: set MUSTER_JWT_MAX_AGE_S for the daemon and for this command, or --ttl to less`,
    )
  }
  return new SignJWT({
    ...(role !== undefined && { role }),
    ...(iss !== undefined && { iss }),
    ...(aud !== undefined && { aud }),
  })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(`${ttl} s`)
    .sign(createSecretKey(Buffer.from(jwt.secret)))
}
