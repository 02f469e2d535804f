/**
 * A public key set (JWKS, RFC 7517) at an address that the operator names. It is fetched when it is first wanted, when it
 * is ten minutes old, and for a key that it lacks, at most once in 30 s: tokens with invented keys cost no more than that.
 * What answers is bounded in time and size, and is not followed elsewhere.
 */
import { createRemoteJWKSet, customFetch } from 'jose'
import type { JWTVerifyGetKey } from 'jose'

import type { Clock } from './clock.ts'

/** No keys were had: nobody knows whether a token is good. */
export class KeySetUnavailable extends Error {
  override readonly name = 'KeySetUnavailable'
}

const cooldownMs = 30_000
/** After a failure nothing is asked for so long, whoever wants to know. */
const failedCooldownMs = 5_000
const mostBytes = 256 * 1024

/** `timeoutMs`: how long an answer may take. The function that it gives throws KeySetUnavailable, or what jose throws for a key that is not in the set. */
export function createKeySet(url: string, clock: Clock, timeoutMs = 5_000): JWTVerifyGetKey {
  let failure: KeySetUnavailable | undefined
  let failedUntil = 0
  const bounded = async (address: string, options: RequestInit): Promise<Response> => {
    if (failure !== undefined && clock.now() < failedUntil) throw failure
    try {
      const keys = await readKeys(await fetch(address, options))
      failure = undefined
      return new Response(keys)
    } catch (error) {
      failure = new KeySetUnavailable('the key set cannot be fetched', { cause: error })
      failedUntil = clock.now() + failedCooldownMs
      throw failure
    }
  }
  const options = { timeoutDuration: timeoutMs, cooldownDuration: cooldownMs, [customFetch]: bounded }
  return createRemoteJWKSet(new URL(url), options)
}

/** A redirect is no answer: it comes here as one without keys. */
async function readKeys(response: Response): Promise<string> {
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`HTTP ${response.status || 'redirect'}`)
  }
  if (response.body === null) throw new Error('it is empty')
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop cancels the rest.
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > mostBytes) throw new Error(`it is larger than ${mostBytes} bytes`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  const content: unknown = JSON.parse(text)
  const isKeySet = typeof content === 'object' && content !== null && 'keys' in content
  if (!isKeySet || !Array.isArray(content.keys)) throw new Error('it holds no keys')
  return text
}
