export interface ErrorReporter {
  /** An error that nobody expected. */
  capture(error: unknown): void
  /** Send what is left, for at most `ms` milliseconds. */
  flush(ms: number): Promise<void>
}

const silent: ErrorReporter = { capture: () => undefined, flush: () => Promise.resolve() }

/** Sentry when a DSN is given; its code is loaded only then. */
export async function createErrorReporter(dsn: string | undefined, release: string): Promise<ErrorReporter> {
  if (dsn === undefined) return silent
  const sentry = await import('@sentry/node')
  sentry.init({ dsn, release, sendDefaultPii: false, defaultIntegrations: false })
  return {
    capture: (error) => {
      sentry.captureException(error)
    },
    flush: async (ms) => {
      await sentry.flush(ms)
    },
  }
}
