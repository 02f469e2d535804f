/**
 * The daemon as a whole: its endpoint, its HTTP API, and the parts that src/wiring hands to each other.
 *
 *   start: endpoint → HTTP (alive, not ready) → schema → seed → follow the changes → take the lease → act
 *   active: managers' port, turns, actions, sweep; standby: none of them, ready to take over
 *   stop: HTTP refuses → the lease is given back once nothing acts any more → the changes → the endpoint
 */
import type { Environment } from '../config/environment.ts'
import type { VersionImages } from '../config/images.ts'
import type { Config } from '../config/load.ts'
import { startApi } from './api/server.ts'
import { createHasuraClient } from './hasura/client.ts'
import { createHasuraStore } from './hasura/hasura-store.ts'
import { createHasuraTrustStore } from './hasura/trust-store.ts'
import { systemClock } from './lib/clock.ts'
import type { ErrorReporter } from './lib/error-reporter.ts'
import { killAt } from './lib/fault-points.ts'
import { Health } from './lib/health.ts'
import type { Logger } from './lib/logger.ts'
import { withinDeadline } from './lib/within-deadline.ts'
import { createDaemon } from './wiring/daemon.ts'
import { startEndpoint } from './wiring/endpoint.ts'

const stopWithinMs = 10_000

export interface AppOptions {
  readonly config: Config
  /** To be rolled out where they are new. */
  readonly images: VersionImages | undefined
  readonly logger: Logger
  readonly reporter: ErrorReporter
  /** What local hosts may inherit from. */
  readonly environment: Environment
  /** Something without which the daemon cannot go on; the caller stops it. */
  readonly onFatal: (error: unknown) => void
}

export interface RunningApp {
  readonly apiUrl: string
  readonly graphqlUrl: string
  readonly managerPort: number
  stop(): Promise<void>
}

/** Start the daemon. Resolves once HTTP answers; `/readyz` says when it is ready. */
export async function startApp(options: AppOptions): Promise<RunningApp> {
  const { config, logger } = options
  const clock = systemClock
  const stopping = new AbortController()
  const health = new Health()
  health.set('start', 'not subscribed to the database yet')

  const endpoint = await startEndpoint(config, logger)
  const client = createHasuraClient({
    url: endpoint.url,
    fetch: endpoint.fetch,
    adminSecret: config.adminSecret,
  })
  const store = createHasuraStore(client, () => clock.now())
  const trustStore = createHasuraTrustStore(client)
  const fault = killAt(config.settings.MUSTER_FAULTS)

  const daemon = createDaemon({
    ...options,
    clock,
    health,
    client,
    store,
    trustStore,
    fault,
    stopping: stopping.signal,
  })
  const api = await startApi({
    host: config.settings.MUSTER_HTTP_HOST,
    port: config.settings.PORT,
    adminSecret: config.adminSecret,
    previousAdminSecret: config.settings.MUSTER_ADMIN_SECRET_PREVIOUS,
    hookSecrets: config.settings.MUSTER_HOOK_SECRET ?? [],
    jwt: config.jwt,
    trustedProxies: config.settings.MUSTER_TRUSTED_PROXIES,
    metricsOpen: config.settings.MUSTER_METRICS_OPEN,
    assignLimit: config.settings.MUSTER_ASSIGN_LIMIT,
    requestLimit: config.settings.MUSTER_REQUEST_LIMIT,
    failedLoginLimit: config.settings.MUSTER_FAILED_LOGIN_LIMIT,
    credentialLimit: config.settings.MUSTER_CREDENTIAL_LIMIT,
    store,
    view: daemon.mirror,
    assigner: daemon.assigner,
    launches: daemon.launches,
    backends: daemon.backends,
    sweep: daemon.sweep,
    upgrades: daemon.webSockets,
    health,
    wake: daemon.wake,
    hint: daemon.hint,
    clock,
    logger,
  }).catch(async (error: unknown) => {
    await endpoint.stop()
    throw error
  })
  const booted = daemon.boot().catch((error: unknown) => {
    if (!stopping.signal.aborted) options.onFatal(error)
  })

  return {
    apiUrl: api.url,
    graphqlUrl: endpoint.url,
    managerPort: config.settings.MUSTER_MANAGER_PORT,
    stop: async () => {
      health.set('stop', 'stopping')
      stopping.abort()
      await withinDeadline(stopWithinMs, [
        () => api.stop(),
        () => booted,
        () => daemon.stop(),
        () => endpoint.stop(),
        () => options.reporter.flush(1_000),
      ])
    },
  }
}
