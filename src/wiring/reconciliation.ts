/** What decides and acts: a region's turns, the actions that they store, and the sweep of what no row tells. */
import type { Config } from '../../config/load.ts'
import { noWayHome } from '../../config/way-home.ts'
import type { SweepDesk } from '../api/sweep-desk.ts'
import type { Clock } from '../lib/clock.ts'
import type { FaultPoint } from '../lib/fault-points.ts'
import type { Logger } from '../lib/logger.ts'
import type { Tally } from '../lib/tally.ts'
import { MusterError } from '../model/errors.ts'
import type { Cause } from '../model/event.ts'
import type { HostHandler } from '../model/host-handler.ts'
import { ActionQueue } from '../reconcile/action-queue.ts'
import { Discovery } from '../reconcile/discovery.ts'
import { createClearOrphanExecutor } from '../reconcile/executors/clear-orphan.ts'
import { createLaunchExecutor } from '../reconcile/executors/launch.ts'
import type { LaunchRegion } from '../reconcile/executors/launch.ts'
import { createTerminateExecutor } from '../reconcile/executors/terminate.ts'
import type { Policies } from '../reconcile/policies.ts'
import { RegionTasks } from '../reconcile/region-tasks.ts'
import { Sweep } from '../reconcile/sweep.ts'
import { createTurnRunner } from '../reconcile/turn-runner.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import type { Mirror } from '../store/mirror.ts'
import type { Authority } from '../trust/authority.ts'
import type { Trust } from './trust.ts'

export interface ReconciliationOptions {
  readonly config: Pick<Config, 'settings'>
  readonly store: FleetStore
  readonly trust: Pick<Trust, 'launchToken'> & { authority(): Pick<Authority, 'pins'> }
  readonly mirror: Mirror
  readonly policies: Policies
  readonly handlerOf: (regionId: string) => Promise<HostHandler>
  readonly fleetId: () => string
  readonly fence: () => number | undefined
  /** Whether the mirror has what the database has. */
  readonly isCurrent: () => boolean
  /** Whether the host's manager is connected to this daemon. */
  readonly isConnected: (hostId: string) => boolean
  readonly wake: (regionId: string, cause: Cause) => void
  /** Where the launches' calls are counted. */
  readonly launches: Tally<'region' | 'outcome'>
  readonly clock: Clock
  /** 0 to 1, of back-offs. Math.random unless told. */
  readonly random?: () => number
  readonly logger: Logger
  readonly fault: FaultPoint
}

export interface Reconciliation {
  /** A region has a reason to be decided; nothing follows until `start`. */
  wake(regionId: string, cause: Cause): void
  /** What was committed and never handed on is carried out. */
  resumeActions(): void
  readonly sweep: SweepDesk
  start(): void
  stop(): Promise<void>
}

export function createReconciliation(options: ReconciliationOptions): Reconciliation {
  const { store, trust, mirror, policies, handlerOf, fence, wake, clock, logger, fault } = options
  const { settings } = options.config
  const regionOf = (regionId: string): LaunchRegion | undefined => {
    const snapshot = mirror.snapshot(regionId)
    if (snapshot === undefined) return undefined
    const { region, activeImage, blockedOfferings } = snapshot
    const { id, instanceTypes, agentsPerHostGiven: agentsPerHost, providerOptions } = region
    return {
      id,
      instanceTypes,
      agentsPerHost,
      providerOptions,
      image: activeImage?.imageId,
      blockedOfferings,
    }
  }
  const chance = options.random === undefined ? {} : { random: options.random }
  const queue: ActionQueue = new ActionQueue({
    store,
    clock,
    ...chance,
    logger,
    executors: {
      launch: createLaunchExecutor({
        store,
        handlerOf,
        regionOf,
        now: () => clock.now(),
        fence,
        fleetId: options.fleetId,
        caPins: () => trust.authority().pins,
        tokenOf: (launchId, attempt) => trust.launchToken(launchId, attempt),
        noWayHome: noWayHome(settings),
        count: (region, outcome) => options.launches.add({ region, outcome }),
        blockS: { capacity: settings.MUSTER_CAPACITY_BLOCK_S, quota: settings.MUSTER_QUOTA_BLOCK_S },
        fault,
      }),
      terminate: createTerminateExecutor({
        store,
        handlerOf,
        fence,
        isLaunchOpen: (launchId) => queue.isLaunchOpen(launchId),
      }),
      'clear-orphan': createClearOrphanExecutor({ store, handlerOf }),
    },
  })
  const sweep = new Sweep({
    ...{ store, mirror, clock, logger, handlerOf, fence, wake },
    fleetId: options.fleetId,
    isConnected: options.isConnected,
    intervalMs: settings.MUSTER_SWEEP_S * 1000,
    graceMs: settings.MUSTER_SWEEP_GRACE_S * 1000,
    missingMs: settings.MUSTER_SWEEP_MISSING_S * 1000,
  })
  const discovery = new Discovery({
    ...chance,
    store,
    mirror,
    regionOf,
    handlerOf,
    fence,
    wake: (regionId) => wake(regionId, { kind: 'change', table: 'regions' }),
    clock,
    logger,
  })
  /** By region, how many endings the last turn held back. */
  const held = new Map<string, number>()
  const tasks: RegionTasks = new RegionTasks(
    clock,
    createTurnRunner({
      store,
      mirror,
      clock,
      logger,
      fence,
      isCurrent: options.isCurrent,
      policyOf: (region) => policies.of(region),
      enqueue: (action) => queue.enqueue(action),
      isTerminationOpen: (hostId) => queue.isTerminationOpen(hostId),
      resumeActions: () => queue.resume(),
      wake,
      armTimer: (regionId, at) => tasks.armTimer(regionId, at),
      sweepFindings: (regionId) => sweep.findings(regionId),
      sweepDecided: (regionId, left) => sweep.decided(regionId, left),
      noteHeld: (regionId, left) => held.set(regionId, left.length),
      fault,
    }),
  )

  return {
    wake: (regionId, cause) => tasks.wake(regionId, cause),
    resumeActions: () => queue.resume(),
    sweep: {
      look: (regionId, how) => sweep.look(regionId, how),
      confirm: async (regionId, actor) => {
        const region = mirror.region(regionId)
        if (fence() === undefined) throw new MusterError('unavailable', 'this daemon is not the active one')
        // Long enough for what was found just now to become certain.
        const certainS = settings.MUSTER_SWEEP_GRACE_S + 3 * settings.MUSTER_SWEEP_S
        const seconds = Math.ceil(Math.max(certainS, region?.blastRadius.window ?? 0))
        if (!(await store.confirmSweep(regionId, seconds, actor))) {
          throw new MusterError('not-found', `there is no region ${JSON.stringify(regionId)}`)
        }
        mirror.apply(await store.readRows({ regions: [regionId] }))
        wake(regionId, { kind: 'api', what: 'sweep-confirmed' })
      },
      held: (regionId) => held.get(regionId) ?? 0,
      lastLook: (regionId) => sweep.lastLook(regionId),
    },
    start: () => {
      tasks.start()
      queue.start()
      sweep.start()
      discovery.start()
    },
    stop: async () => {
      discovery.stop()
      await Promise.all([tasks.stop(), sweep.stop(), queue.stop()])
      held.clear()
    },
  }
}
