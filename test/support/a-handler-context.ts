import type { HandlerContext } from '../../host-handlers/handler-context.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { noFaults } from '../../src/lib/fault-points.ts'

export function aHandlerContext(overrides: Partial<HandlerContext> = {}): HandlerContext {
  return {
    fleetId: 'fleet-1',
    options: {},
    dataDirectory: '/nowhere',
    program: ['/nowhere/muster'],
    daemonAddresses: () => ['127.0.0.1:7011'],
    environment: { PATH: process.env['PATH'] },
    clock: systemClock,
    fault: noFaults,
    ...overrides,
  }
}
