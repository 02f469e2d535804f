/** One launch of local hosts in a process of its own, which dies at a fault point. */
import { createHandler } from '../../host-handlers/local/handler.ts'
import { killAt } from '../../src/lib/fault-points.ts'
import type { LaunchSpec } from '../../src/model/host-handler.ts'
import { aHandlerContext } from './a-handler-context.ts'

interface DoomedLaunch {
  readonly fleetId: string
  readonly dataDirectory: string
  readonly program: readonly string[]
  readonly daemons: readonly string[]
  readonly fault: string
  readonly spec: LaunchSpec
}

const { daemons, fault, spec, ...context } = JSON.parse(process.argv[2] ?? '') as DoomedLaunch
const handler = createHandler(
  aHandlerContext({ ...context, daemonAddresses: () => daemons, fault: killAt([fault]) }),
)
await handler.launch(spec, new AbortController().signal)
