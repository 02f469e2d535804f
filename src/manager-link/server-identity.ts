/**
 * What the managers' server shows and whom it trusts: a certificate of its own for 7 days, followed by the next at two
 * thirds of its life; both again as soon as the authority is another one. Live connections keep what they were shown.
 */
import { constants } from 'node:crypto'

import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Authority } from '../trust/authority.ts'
import { managersServerName } from '../trust/issue.ts'
import { renewAt } from '../trust/renewal.ts'

export interface ServerIdentityOptions {
  readonly authority: () => Pick<Authority, 'trusted' | 'issueServer'>
  readonly fleetId: () => string
  readonly clock: Clock
  readonly logger: Logger
}

/** For `tls.createServer` and `setSecureContext`: TLS 1.3 only, and no tickets that another process could take up. */
export interface ServerContext {
  readonly key: string
  readonly cert: string
  readonly ca: string[]
  readonly minVersion: 'TLSv1.3'
  readonly secureOptions: number
}

const lookEveryMs = 60_000

export class ServerIdentity {
  readonly #options: ServerIdentityOptions
  #cancel: () => void = () => undefined
  #isRunning = false

  constructor(options: ServerIdentityOptions) {
    this.#options = options
  }

  /**
   * The first context; later ones come by `replace`.
   * @throws MusterError `authority-unusable`
   */
  async start(replace: (context: ServerContext) => void): Promise<ServerContext> {
    this.#isRunning = true
    const first = await this.#issue()
    this.#watch(first.renewAt, first.context.ca, replace)
    return first.context
  }

  stop(): void {
    this.#isRunning = false
    this.#cancel()
  }

  #watch(until: number, ca: readonly string[], replace: (context: ServerContext) => void): void {
    const { authority, clock, logger } = this.#options
    if (!this.#isRunning) return
    this.#cancel = clock.after(lookEveryMs, () => {
      const isSame = authority().trusted.join() === ca.join()
      if (clock.now() < until && isSame) {
        this.#watch(until, ca, replace)
        return
      }
      void this.#issue().then(
        (next) => {
          if (!this.#isRunning) return
          replace(next.context)
          this.#watch(next.renewAt, next.context.ca, replace)
        },
        (error: unknown) => {
          logger.error({ err: error }, 'the managers’ server has no new certificate; it keeps the one it has')
          this.#watch(until, ca, replace)
        },
      )
    })
  }

  async #issue(): Promise<{ readonly context: ServerContext; readonly renewAt: number }> {
    const { authority, fleetId, clock } = this.#options
    const current = authority()
    const names = [managersServerName(fleetId())]
    const { certPem, keyPem, notBefore, notAfter } = await current.issueServer({ names, now: clock.now() })
    const context = {
      key: keyPem,
      cert: certPem,
      ca: [...current.trusted],
      minVersion: 'TLSv1.3' as const,
      secureOptions: constants.SSL_OP_NO_TICKET,
    }
    return { context, renewAt: renewAt(notBefore, notAfter, () => 0.5) }
  }
}
