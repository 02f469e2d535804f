import type { Clock } from '../src/lib/clock.ts'
import type { FaultPoint } from '../src/lib/fault-points.ts'
import type { HostHandler } from '../src/model/host-handler.ts'

/** What the daemon hands to every provider. A provider takes what it needs. */
export interface HandlerContext {
  readonly fleetId: string
  /** The provider's own options from the configuration; each parses them itself. */
  readonly options: unknown
  /** Absolute; a provider keeps what it must below a directory of its own there. */
  readonly dataDirectory: string
  /** Program and first arguments that run `muster` on this machine. */
  readonly program: readonly string[]
  /** `host:port` of each daemon that managers may dial, as of now. */
  readonly daemonAddresses: () => readonly string[]
  /** The daemon's environment. It holds secrets: only what is named may be passed on. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly fault: FaultPoint
}

/** What the module of a provider exports. */
export interface HandlerPlugin {
  /** @throws MusterError `config-invalid` with every fault of `options`. */
  readonly createHandler: (context: HandlerContext) => HostHandler
}
