import { pino } from 'pino'
import type { Logger } from 'pino'

export type { Logger } from 'pino'

// Secrets never reach a log, however deep in an object somebody passes one.
const secretKeys = [
  'authorization',
  'cookie',
  'token',
  'enrolmentToken',
  'secret',
  'adminSecret',
  'hostKey',
  'password',
  'fleetKey',
]
const redactedPaths = secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`, `*.headers.${key}`])

/** Structured lines on standard error (standard output belongs to the commands' results). */
export function createLogger(options: { level: string; pretty: boolean }): Logger {
  const base = {
    level: options.level,
    base: null,
    redact: { paths: redactedPaths, censor: '[redacted]' },
  }
  if (!options.pretty) return pino(base, pino.destination({ dest: 2, sync: false }))
  return pino({
    ...base,
    transport: {
      target: 'pino-pretty',
      options: { destination: 2, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' },
    },
  })
}

export const silentLogger: Logger = pino({ level: 'silent' })
