/** The one door to EC2's API of one account and region: its limiter, its time-outs and its repeats. */
import { EC2Client } from '@aws-sdk/client-ec2'
import type { EC2ClientConfig, ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-ec2'

import { backoffMs } from '../../src/lib/backoff.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { isAborted } from '../../src/lib/aborted.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import { launchErrorOf } from './errors.ts'
import type { AwsOptions } from './options.ts'
import { RateLimiter } from './rate-limiter.ts'
import type { RequestKind } from './rate-limiter.ts'

export interface Ec2Settings extends Pick<AwsOptions, 'endpoint' | 'request_timeout_s'> {
  /** AWS's name of it: us-east-1. */
  readonly region: string
  /** The daemon's; AWS_ACCESS_KEY_ID and its like go before whatever else the SDK finds. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
}

type Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = Parameters<
  typeof EC2Client.prototype.send<Input, Output>
>[0]

/** Shorter ones are words of tests: to take them out would spoil the message. */
const shortestSecret = 8
/** Looks and terminations are repeated this often when they were throttled or got no answer: they do no harm twice. */
const harmlessAttempts = 5
const stumble = { firstMs: 250, longestMs: 5_000, jitter: 0.2 }

export class Ec2 {
  readonly region: string
  readonly #client: EC2Client
  readonly #limiter: RateLimiter
  readonly #timeoutMs: number
  readonly #clock: Clock

  constructor(settings: Ec2Settings) {
    const { region, endpoint, environment, clock } = settings
    this.region = region
    this.#clock = clock
    this.#timeoutMs = settings.request_timeout_s * 1000
    this.#limiter = new RateLimiter(clock)
    this.#client = new EC2Client({
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...credentialsOf(environment),
      // Which call may be repeated, and when, is decided here.
      maxAttempts: 1,
      requestHandler: { connectionTimeout: Math.min(this.#timeoutMs, 10_000), requestTimeout: 0 },
    })
  }

  /**
   * Sends once: what may have been carried out is for the caller to repeat.
   *
   * @throws LaunchError, or the signal's reason
   */
  async send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    kind: RequestKind,
    command: Command<Input, Output>,
    signal: AbortSignal,
  ): Promise<Output> {
    await this.#limiter.admit(kind, signal)
    const action = command.constructor.name.replace(/Command$/, '')
    const patience = AbortSignal.timeout(this.#timeoutMs)
    const either = AbortSignal.any([signal, patience])
    try {
      const output = await orAborted(this.#client.send(command, { abortSignal: either }), either)
      this.#limiter.answered()
      return output
    } catch (cause) {
      signal.throwIfAborted()
      if (isAborted(patience)) {
        const message = `EC2 gave no whole answer to ${action} within ${this.#timeoutMs / 1000} s`
        throw new LaunchError('unknown', message, { cause })
      }
      const error = await this.#withoutSecrets(launchErrorOf(cause, action), cause)
      if (error.code === 'throttled') this.#limiter.throttled()
      throw error
    }
  }

  /** A server that disputes a signature may quote what was signed, the session token with it; its words are stored. */
  async #withoutSecrets(error: LaunchError, cause: unknown): Promise<LaunchError> {
    const { $metadata } = (cause ?? {}) as { readonly $metadata?: { readonly httpStatusCode?: number } }
    // Without an answer there may be no credentials, which would be looked for once more.
    if ($metadata?.httpStatusCode === undefined) return error
    const { secretAccessKey, sessionToken = '' } = await this.#client.config.credentials()
    const quoted = [secretAccessKey, sessionToken].filter(
      (secret) => secret.length >= shortestSecret && error.message.includes(secret),
    )
    if (quoted.length === 0) return error
    const message = quoted.reduce((text, secret) => text.replaceAll(secret, '[redacted]'), error.message)
    const { code, providerCode, attemptsAtMost } = error
    return new LaunchError(code, message, { providerCode, attemptsAtMost })
  }

  /** Sends what does no harm twice until it is answered, for a while. */
  async sendHarmless<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    kind: RequestKind,
    command: () => Command<Input, Output>,
    signal: AbortSignal,
  ): Promise<Output> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.send(kind, command(), signal)
      } catch (error) {
        if (attempt === harmlessAttempts || !(error instanceof LaunchError)) throw error
        if (error.code !== 'throttled' && error.code !== 'unknown' && error.code !== 'transient') throw error
        // The limiter makes whoever was throttled wait; a server that stumbled is given a moment too.
        if (error.code !== 'throttled') await this.#clock.sleep(backoffMs(attempt, stumble), signal)
      }
    }
  }
}

function credentialsOf(
  environment: Ec2Settings['environment'],
): Pick<EC2ClientConfig, 'credentials' | 'profile'> {
  // An empty variable is an unset one.
  const given = (name: string) => environment[name] || undefined
  const accessKeyId = given('AWS_ACCESS_KEY_ID')
  const secretAccessKey = given('AWS_SECRET_ACCESS_KEY')
  const sessionToken = given('AWS_SESSION_TOKEN')
  const profile = given('AWS_PROFILE')
  if (profile === undefined && accessKeyId !== undefined && secretAccessKey !== undefined) {
    return {
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
    }
  }
  return profile === undefined ? {} : { profile }
}

/** The SDK stops heeding its signal once the head of an answer is there; a body may still never end. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
