import { pino } from 'pino'
import type { DestinationStream } from 'pino'

import { safeFields, safeText } from './safe-log.ts'

/** No `child`: what is bound to one would be written as it is. */
export type Logger = Pick<pino.Logger, pino.Level | 'level'>

export interface LoggerOptions {
  readonly level: string
  readonly pretty: boolean
  /** Texts that are in no line, wherever they come from. */
  readonly secrets?: readonly string[]
  /** Where the lines go; standard error unless told (standard output belongs to the commands' results). */
  readonly destination?: DestinationStream
}

/** Shorter ones are words: to take them out would spoil the log and say what they are. */
const shortestSecret = 8

/** Structured lines. What may stand in one is src/lib/safe-log.ts's to say. */
export function createLogger({ level, pretty, secrets = [], destination }: LoggerOptions): Logger {
  const known = secrets
    .filter((secret) => secret.length >= shortestSecret)
    // As a line of JSON has them.
    .map((secret) => JSON.stringify(secret).slice(1, -1))
  const base = {
    level,
    base: null,
    // The errors are plain objects by now.
    serializers: { err: (error: unknown) => error },
    hooks: {
      logMethod(this: pino.Logger, given: Parameters<pino.LogFn>, write: pino.LogFn): void {
        const safe = given.map((one: unknown) =>
          typeof one === 'string'
            ? safeText(one)
            : typeof one === 'object' && one !== null
              ? safeFields(one)
              : one,
        )
        write.apply(this, safe as Parameters<pino.LogFn>)
      },
      streamWrite: (line: string): string =>
        known.reduce((text, secret) => text.replaceAll(secret, '[redacted]'), line),
    },
  }
  if (!pretty) return pino(base, destination ?? pino.destination({ dest: 2, sync: false }))
  return pino({
    ...base,
    transport: {
      target: 'pino-pretty',
      options: { destination: 2, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' },
    },
  })
}

export const silentLogger: Logger = pino({ level: 'silent' })
