import { MusterError } from '../model/errors.ts'
import type { TerminateReason } from '../model/backend.ts'
import type { ManagerStream } from '../muster-v1/managers-service.ts'
import type { FromManager, Received } from '../muster-v1/messages.ts'
import type { ConnectedHost } from './connected-host.ts'
import { certify } from './enrolment.ts'
import { endStream } from './grpc-server.ts'
import type { ManagerConnection } from './manager-door.ts'
import { say } from './say.ts'
import type { ManagerLinkOptions } from './seams.ts'

/** What a manager tells of its platform, at most. */
const largestInfo = 256 * 1024
/** What it tells of its platform is written so often at most. */
const infoAtMostEveryMs = 1_000
/** A certificate is renewed a few times a day. */
const renewAtMostEveryMs = 1_000

/**
 * One backend with one stream: who the manager is. What it does for users is its host's matter (connected-host.ts), and
 * it may have none.
 */
export class ConnectedBackend {
  readonly id: string
  readonly host: ConnectedHost | undefined
  readonly connection: ManagerConnection
  readonly #options: ManagerLinkOptions
  readonly #stream: ManagerStream
  readonly #waitingForInfo = new Set<(failure: MusterError | undefined) => void>()
  #renewedAt = -Infinity
  #isRenewing = false
  readonly #closing = new AbortController()
  #info: Buffer | undefined
  #keepingInfo: Promise<void> | undefined

  constructor(
    options: ManagerLinkOptions,
    parts: {
      readonly id: string
      readonly host: ConnectedHost | undefined
      readonly connection: ManagerConnection
      readonly stream: ManagerStream
    },
  ) {
    this.#options = options
    this.id = parts.id
    this.host = parts.host
    this.connection = parts.connection
    this.#stream = parts.stream
  }

  /** Welcome, then all that the rows ask. */
  welcome(): void {
    const { heartbeatMs } = this.#options
    const hostId = this.host?.id ?? ''
    say(this.#stream, { message: 'welcome', welcome: { hostId, heartbeatIntervalMs: heartbeatMs } })
    this.host?.welcomed()
  }

  receive(received: Received<FromManager>): void {
    if (received.message === 'renew') void this.#renew(received.renew.csr)
    else if (received.message === 'info') this.#told(received.info.document)
    else this.host?.receive(received)
  }

  /**
   * Resolves once the rows have what the manager tells of its platform.
   * @throws MusterError `unavailable` when it does not tell in time, or its stream ends
   */
  askInfo(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (failure: MusterError | undefined): void => {
        signal.removeEventListener('abort', late)
        this.#waitingForInfo.delete(settle)
        if (failure === undefined) resolve()
        else reject(failure)
      }
      const late = (): void => settle(unanswered('its manager has not answered in time'))
      this.#waitingForInfo.add(settle)
      if (signal.aborted) late()
      else signal.addEventListener('abort', late, { once: true })
      say(this.#stream, { message: 'askInfo', askInfo: {} })
    })
  }

  /** Its right is taken: its manager is to stop what runs. */
  terminated(reason: TerminateReason): void {
    say(this.#stream, { message: 'terminated', terminated: { reason } })
  }

  /** Resolves once nothing is written any more. */
  async close(): Promise<void> {
    this.#closing.abort()
    for (const settle of [...this.#waitingForInfo]) settle(unanswered('the stream to its manager ended'))
    await Promise.all([this.host?.close(), this.#keepingInfo])
  }

  /** Another stream has taken over, or the daemon goes. */
  async cutOff(why: string): Promise<void> {
    const closed = this.close()
    endStream(this.#stream, 'UNAVAILABLE', why)
    await closed
  }

  async #renew(csr: string): Promise<void> {
    const { clock, logger, fault } = this.#options
    const refuse = (error: string): void =>
      say(this.#stream, { message: 'renewed', renewed: { certificate: '', ca: '', error } })
    if (this.#isRenewing || clock.now() - this.#renewedAt < renewAtMostEveryMs) {
      refuse('one renewal at a time')
      return
    }
    this.#isRenewing = true
    const { serial: renews } = this.connection
    try {
      const renewed = await certify(
        { ...this.#options, store: this.#options.trust },
        { csr, backendId: this.id, renews, actor: `backend:${this.id}` },
      )
      fault('renew.after-store')
      if (renewed === undefined) {
        refuse('this backend may have no new certificate, or the key is not new')
        return
      }
      this.#renewedAt = clock.now()
      logger.info({ backendId: this.id, serial: renewed.serial, renews }, 'certificate renewed')
      const { certificate, ca } = renewed
      say(this.#stream, { message: 'renewed', renewed: { certificate, ca, error: '' } })
    } catch (error) {
      logger.warn({ backendId: this.id, err: error }, 'certificate not renewed')
      const isItsFault =
        error instanceof MusterError && (error.code === 'invalid-request' || error.code === 'rate-limited')
      refuse(isItsFault ? error.message : 'unavailable: try again')
    } finally {
      this.#isRenewing = false
    }
  }

  #told(document: Buffer): void {
    if (document.length > largestInfo || !isJson(document)) {
      endStream(this.#stream, 'INVALID_ARGUMENT', `Info must be JSON of at most ${largestInfo} bytes`)
      return
    }
    this.#info = document
    this.#keepingInfo ??= this.#keepInfo().finally(() => (this.#keepingInfo = undefined))
  }

  /** The latest counts: what was told meanwhile is written next. */
  async #keepInfo(): Promise<void> {
    const { trust, fence, clock, logger } = this.#options
    while (this.#info !== undefined) {
      const document = this.#info
      const waiting = [...this.#waitingForInfo]
      this.#info = undefined
      let failure: MusterError | undefined
      try {
        const isKept = await trust.reportInfo(this.id, document, fence() ?? 0)
        if (!isKept) failure = unanswered('another daemon is active, or the backend is deleted')
      } catch (error) {
        // It is told again on the next stream, and when somebody asks.
        logger.warn({ backendId: this.id, err: error }, 'platform of a manager not kept')
        failure = unanswered('the database cannot be reached')
      }
      for (const settle of waiting) settle(failure)
      await clock.sleep(infoAtMostEveryMs, this.#closing.signal).catch(() => undefined)
    }
  }
}

function unanswered(why: string): MusterError {
  return new MusterError('unavailable', `what runs there is not known: ${why}`, { retryable: true })
}

function isJson(document: Buffer): boolean {
  try {
    JSON.parse(document.toString())
    return true
  } catch {
    return false
  }
}
