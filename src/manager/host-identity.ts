/**
 * Who this host is to the daemon: credentials that it holds, else such as a token gets it. A token is told once to one
 * daemon with one key; the key is kept until an answer has come, and a token that has done its work, or was refused, is
 * not told again: with another key it would look stolen.
 */
import { join } from 'node:path'

import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import { hostFiles } from '../model/manager-spec.ts'
import type { ManagerSpec } from '../model/manager-spec.ts'
import { MusterError } from '../model/errors.ts'
import { pinsOf } from './credentials.ts'
import type { CredentialsStore, HeldCredentials } from './credentials-store.ts'
import { hashOfToken, readOwnFile } from './credentials-store.ts'
import { enrol } from './enrol.ts'

export interface HostIdentityOptions {
  readonly directory: string
  readonly spec: ManagerSpec
  readonly store: CredentialsStore
  readonly clock: Clock
  readonly log: Logger
  readonly fault: FaultPoint
}

export type Identification =
  | { readonly kind: 'identified'; readonly credentials: HeldCredentials }
  /** For now: the next attempt may do better. */
  | { readonly kind: 'unidentified'; readonly message: string }
  /** For ever: this machine was never let in, and will not be. */
  | { readonly kind: 'unauthorized'; readonly message: string }

export class HostIdentity {
  readonly #options: HostIdentityOptions
  /** Hashes of tokens that were refused. */
  readonly #refused = new Set<string>()

  constructor(options: HostIdentityOptions) {
    this.#options = options
  }

  /** Credentials of now, by enrolment at this daemon where there are none. */
  async identify(daemon: string, signal: AbortSignal): Promise<Identification> {
    const { store, clock } = this.#options
    const held = await store.read()
    if (held !== undefined && clock.now() < held.notAfter) return { kind: 'identified', credentials: held }
    const token = await this.#findToken(held)
    if (token === undefined) return { kind: 'unidentified', message: this.#howToGoOn(held) }
    return this.#enrol(daemon, token, held, signal)
  }

  async #enrol(
    daemon: string,
    token: string,
    held: HeldCredentials | undefined,
    signal: AbortSignal,
  ): Promise<Identification> {
    const { spec, store, log, fault } = this.#options
    const hash = hashOfToken(token)
    const { key, csr } = await store.pendingKey(`enrolment ${hash}`)
    const { fleetId, cloudId, address } = spec
    // The daemon's word on roots was taken over a connection that was checked.
    const pins = [...spec.caPins, ...(held === undefined ? [] : pinsOf(held.ca))]
    const answer = await enrol(daemon, { fleetId, pins, token, cloudId, address, key, csr }, signal)
    fault('enrolment.answered')
    if (answer.kind === 'unavailable') return { kind: 'unidentified', message: answer.message }
    if (answer.kind === 'unauthorized') return this.#tokenRefused(hash, held, answer.message)
    await store.write(answer.credentials, hash)
    const credentials = await store.read()
    if (credentials === undefined) throw new MusterError('internal', 'the credentials are gone')
    const { backendId, serial, notAfter } = credentials
    log.info({ backendId, serial, notAfter: new Date(notAfter).toISOString() }, 'enrolled')
    return { kind: 'identified', credentials }
  }

  #tokenRefused(hash: string, held: HeldCredentials | undefined, message: string): Identification {
    this.#refused.add(hash)
    // Who serves already goes on serving; another token may come.
    const kind = held === undefined ? 'unauthorized' : 'unidentified'
    return { kind, message: `${message}; ${this.#howToGoOn(held)}` }
  }

  /** A token that may still help, the freshest first. */
  async #findToken(held: HeldCredentials | undefined): Promise<string | undefined> {
    const { directory, spec } = this.#options
    const dropped = await readOwnFile(join(directory, hostFiles.token))
    const named = spec.tokenFile === undefined ? undefined : await readOwnFile(spec.tokenFile)
    return [dropped, named, spec.enrolmentToken]
      .map((text) => text?.trim() ?? '')
      .find((token) => {
        const hash = hashOfToken(token)
        return token !== '' && !this.#refused.has(hash) && held?.redeemed !== hash
      })
  }

  #howToGoOn(held: HeldCredentials | undefined): string {
    const file = join(this.#options.directory, hostFiles.token)
    const id = held?.backendId === undefined || held.backendId === '' ? 'ID' : held.backendId
    const what = `put a new enrolment token (npx muster backends token ${id}) into ${file}, mode 600`
    return held === undefined
      ? `this host has no certificate and no token that was not used: ${what}`
      : `this host's certificate expired at ${new Date(held.notAfter).toISOString()}: ${what}; its sessions go on meanwhile`
  }
}
