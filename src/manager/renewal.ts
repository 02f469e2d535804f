/**
 * The next certificate, with a new key, asked for over the live stream at two thirds of the life of this one. What is
 * refused or not answered is asked again, later each time, until the certificate's end; from then on a token is needed
 * (host-identity.ts).
 */
import { backoffMs } from '../lib/backoff.ts'
import type { BackoffOptions } from '../lib/backoff.ts'
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import type { FromManager, Renewed } from '../muster-v1/messages.ts'
import { renewAt } from '../trust/renewal.ts'
import type { Credentials } from './credentials.ts'
import { checkCredentials } from './credentials.ts'
import type { CredentialsStore, HeldCredentials } from './credentials-store.ts'

export interface RenewalOptions {
  readonly store: Pick<CredentialsStore, 'pendingKey' | 'forgetPendingKey' | 'write'>
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
  readonly send: (message: FromManager) => void
  /** The new certificate counts: the stream is to be opened anew with it. */
  readonly renewed: () => void
  readonly fault: FaultPoint
}

interface Asked {
  readonly serial: string
  readonly key: string
}

export class Renewal {
  readonly #options: RenewalOptions
  #inUse: HeldCredentials | undefined
  #dueAt = Infinity
  #isWelcomed = false
  #failures = 0
  #asked: Asked | undefined
  #cancelTimer = (): void => undefined

  constructor(options: RenewalOptions) {
    this.#options = options
  }

  /** A stream is opened with these. */
  dialled(credentials: HeldCredentials): void {
    this.#isWelcomed = false
    this.#asked = undefined
    if (credentials.serial === this.#inUse?.serial) return
    const { clock, random } = this.#options
    const { notBefore, notAfter } = credentials
    // A certificate that is old when it comes (a short life, a clock that is ahead) must not be renewed without a pause.
    const soonest = this.#inUse === undefined ? 0 : clock.now() + (notAfter - clock.now()) / 4
    this.#inUse = credentials
    this.#failures = 0
    this.#dueAt = Math.max(renewAt(notBefore, notAfter, random), soonest)
  }

  welcomed(): void {
    this.#isWelcomed = true
    this.#arm()
  }

  /** The stream is gone. */
  lost(): void {
    this.#isWelcomed = false
    this.#cancelTimer()
  }

  async heard(answer: Renewed): Promise<void> {
    const asked = this.#asked
    // Of an earlier stream, or said twice.
    if (asked === undefined || asked.serial !== this.#inUse?.serial) return
    this.#asked = undefined
    this.#options.fault('renewal.answered')
    const fault = answer.error === '' ? await this.#take(asked, answer) : answer.error
    if (fault === undefined) return
    // A key that was refused would be refused again: it has its certificate, or may have none.
    await this.#options.store.forgetPendingKey()
    this.#failed(fault)
  }

  /** Keeps the new certificate; gives what is wrong with it. */
  async #take(asked: Asked, { certificate, ca }: Renewed): Promise<string | undefined> {
    const { store, log, renewed } = this.#options
    const credentials: Credentials = { key: asked.key, certificate, ca }
    const checked = checkCredentials(credentials)
    if (typeof checked === 'string') return checked
    // The token that once let this host in stays used.
    await store.write(credentials, this.#inUse?.redeemed)
    const notAfter = new Date(checked.notAfter).toISOString()
    log.info({ serial: checked.serial, notAfter }, 'certificate renewed')
    renewed()
    return undefined
  }

  #arm(): void {
    this.#cancelTimer()
    if (!this.#isWelcomed || this.#inUse === undefined) return
    const { clock } = this.#options
    const leftMs = this.#dueAt - clock.now()
    // The clock's longest timer may be shorter than a certificate's life: looked at once more then.
    this.#cancelTimer = clock.after(Math.max(0, leftMs), () => {
      if (clock.now() < this.#dueAt) this.#arm()
      else void this.#ask().catch((error: unknown) => this.#failed(String(error)))
    })
  }

  async #ask(): Promise<void> {
    const { store, send } = this.#options
    const { serial } = this.#inUse ?? {}
    if (serial === undefined) return
    const { key, csr } = await store.pendingKey(`renewal of ${serial}`)
    if (!this.#isWelcomed || serial !== this.#inUse?.serial) return
    this.#asked = { serial, key }
    // Asked again when no answer comes.
    this.#later()
    send({ message: 'renew', renew: { csr } })
  }

  #failed(reason: string): void {
    this.#later()
    const notAfter = new Date(this.#inUse?.notAfter ?? 0).toISOString()
    const waitMs = this.#dueAt - this.#options.clock.now()
    this.#options.log.warn({ reason, notAfter, waitMs }, 'certificate not renewed')
  }

  #later(): void {
    const { clock, random } = this.#options
    this.#failures += 1
    this.#dueAt = clock.now() + backoffMs(this.#failures, retryOf(this.#inUse), random)
    this.#arm()
  }
}

/** A day's certificate has eight hours left for some tries: 14 minutes apart at first, 72 at last. */
function retryOf(credentials: HeldCredentials | undefined): BackoffOptions {
  const lifeMs = credentials === undefined ? 0 : credentials.notAfter - credentials.notBefore
  return { firstMs: Math.max(1000, lifeMs / 100), longestMs: Math.max(1000, lifeMs / 20), jitter: 0.5 }
}
