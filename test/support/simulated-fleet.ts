/** The simulated world with the daemon's own wiring, the algorithm `default` and the fake cloud. */
import { createHash } from 'node:crypto'

import type { Settings } from '../../config/schema.ts'
import type { FakeFault } from '../../host-handlers/fake/cloud.ts'
import { FakeCloud } from '../../host-handlers/fake/cloud.ts'
import { createFakeHandler } from '../../host-handlers/fake/handler.ts'
import { algorithm } from '../../scaling-algorithms/default/algorithm.ts'
import { noFaults } from '../../src/lib/fault-points.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { Tally } from '../../src/lib/tally.ts'
import type { HostHandler } from '../../src/model/host-handler.ts'
import type { ReconciliationPorts, SimulatedReconciliation } from '../../src/simulation/daemon.ts'
import { faultKinds } from '../../src/simulation/faults.ts'
import type { CloudContext, SimulatedCloud, WorldOutcome, WorldParts } from '../../src/simulation/world.ts'
import { World } from '../../src/simulation/world.ts'
import { createReconciliation } from '../../src/wiring/reconciliation.ts'

const sweepS = 60
const sweepGraceS = 180

/** The calls that launches, terminations and sweeps are made of: each must meet each fault. */
export const disturbedCalls = [
  ...[
    'takeLease',
    'readRegionIds',
    'readRegion',
    'readRows',
    'commitTurn',
    'readOpenActions',
    'beginAttempt',
  ],
  ...['beginCall', 'settleCall', 'refuseCall', 'finishLaunch', 'readHost', 'endHost', 'endAction'],
  ...[
    'postponeAction',
    'logAction',
    'redeemToken',
    'registerHost',
    'reportAgents',
    'readSweepRows',
    'bindLaunch',
  ],
]
  .map((call) => `store.${call}`)
  .concat(['cloud.offerings', 'cloud.launch', 'cloud.list', 'cloud.terminate'])
export const allPairs = disturbedCalls.flatMap((call) => faultKinds.map((fault) => `${call} ${fault}`))

const pairsOfSeed = 16

/** What a seed is to show beside what it meets by chance: all seeds together show everything, several times. */
function focusOf(seed: number): readonly string[] {
  const drawn = Array.from(
    { length: pairsOfSeed },
    (_, index) => allPairs[((seed * pairsOfSeed + index) * 37) % allPairs.length]!,
  )
  // Where tokens are ignored, this makes machines that no row stands for.
  return [...drawn, 'cloud.launch repeated']
}

/** One fault schedule, from its seed; with another focus than the seed's own it is another schedule. */
export async function runSchedule(
  seed: number,
  {
    parts = {},
    focus = focusOf(seed),
    keepsStory = false,
  }: {
    /** In place of what is sound. */
    readonly parts?: Partial<WorldParts>
    readonly focus?: readonly string[]
    readonly keepsStory?: boolean
  } = {},
): Promise<WorldOutcome> {
  const world = new World(
    {
      seed,
      focus,
      stormMs: 15 * 60_000,
      graceMs: (sweepGraceS + 3 * sweepS) * 1000,
      patienceMs: 15 * 60_000,
      keepsStory,
    },
    { createCloud, createReconciliation: wire, algorithm, readToken, logger: silentLogger, ...parts },
  )
  return await world.run()
}

const settings = {
  MUSTER_SWEEP_S: sweepS,
  MUSTER_SWEEP_GRACE_S: sweepGraceS,
  MUSTER_SWEEP_MISSING_S: sweepS,
  MUSTER_CAPACITY_BLOCK_S: 60,
  MUSTER_QUOTA_BLOCK_S: 120,
  MUSTER_MANAGER_ADVERTISE: ['127.0.0.1:7011'],
} as unknown as Settings

export function wire(ports: ReconciliationPorts): SimulatedReconciliation {
  return createReconciliation({
    ...ports,
    config: { settings },
    trust: {
      authority: () => ({ pins: [] }),
      launchToken: (launchId, attempt) => {
        const text = `${launchId}~${attempt}`
        return { text, ...readToken(text) }
      },
    },
    fleetId: () => 'simulated-fleet',
    launches: new Tally(),
    fault: noFaults,
  })
}

function readToken(text: string): { readonly id: string; readonly secretHash: string } {
  return { id: `token ${text}`, secretHash: createHash('sha256').update(text).digest('hex') }
}

export function createCloud({ clock, chance, fleetId, isStorming }: CloudContext): SimulatedCloud {
  const keepsTokens = chance.happens(0.6)
  const offering = { instanceType: 'small', zone: '', agents: 2 }
  const cloud = new FakeCloud({
    clock,
    keepsTokens,
    launchMs: chance.integer(200, 3_000),
    terminateMs: chance.pick([0, 2_000, 30_000]),
    hiddenMs: chance.pick([0, 3_000, 20_000]),
    ...(chance.happens(0.6) && {
      offerings: [
        { ...offering, lifecycle: 'spot' },
        { ...offering, lifecycle: 'on-demand' },
      ],
    }),
    launchFault: ({ count }): FakeFault | undefined => {
      if (!isStorming()) return undefined
      const drawn = chance.draw()
      if (drawn < 0.1) return { kind: 'refused', code: 'insufficient-capacity' }
      if (drawn < 0.13) return { kind: 'refused', code: 'quota-exceeded' }
      if (drawn < 0.18) return { kind: 'refused', code: 'throttled' }
      if (drawn < 0.2) return { kind: 'refused', code: 'unauthorized' }
      if (drawn < 0.28) {
        return {
          kind: 'partial',
          machines: Math.floor(count / 2),
          code: 'insufficient-capacity',
        }
      }
      return drawn < 0.31 ? { kind: 'lost-reply' } : undefined
    },
  })
  const handler: HostHandler = createFakeHandler(cloud, fleetId)
  return {
    handler,
    keepsTokens,
    machines: () =>
      cloud.machines.map(({ cloudId, launchId, spec }) => ({
        cloudId,
        launchId,
        enrolmentToken: spec.enrolmentToken,
      })),
    lose: (cloudId) => cloud.lose(cloudId),
  }
}
