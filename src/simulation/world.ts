/**
 * A fleet in simulated time: one region, its cloud, its machines' managers, users who come and go, and a daemon that is
 * killed and started anew on the same store. A storm of faults, then calm; all of it from one seed.
 */
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { launchOf } from '../model/action.ts'
import { MusterError } from '../model/errors.ts'
import type { HostHandler } from '../model/host-handler.ts'
import { LaunchError } from '../model/host-handler.ts'
import { defaultDeadlines } from '../model/region.ts'
import type { ScalingAlgorithm } from '../model/scaling-algorithm.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import { agentsOf } from '../store/memory/agent-rows.ts'
import { redeemToken } from '../store/memory/launch-tokens.ts'
import { createMemoryChangeFeed } from '../store/memory/memory-change-feed.ts'
import { MemoryDatabase } from '../store/memory/memory-database.ts'
import { createMemoryStore } from '../store/memory/memory-store.ts'
import { insertImage, insertRegion } from '../store/memory/region-rows.ts'
import { Chance } from './chance.ts'
import { SimulatedClock } from './clock.ts'
import { SimulatedDaemon } from './daemon.ts'
import type { ReconciliationPorts, SimulatedReconciliation } from './daemon.ts'
import { FaultPlan } from './faults.ts'
import { FaultyPort } from './faulty-port.ts'
import { Invariants, Violation } from './invariants.ts'
import { Life } from './life.ts'
import type { ManagerOptions, SimulatedMachine } from './manager.ts'
import { runManager } from './manager.ts'
import { Story } from './story.ts'
import { runUsers } from './users.ts'

export interface SimulatedCloud {
  readonly handler: HostHandler
  /** Whether the same token gives the same machines. */
  readonly keepsTokens: boolean
  /** Those that cost money now. */
  machines(): readonly SimulatedMachine[]
  /** One ends by itself. */
  lose(cloudId: string): void
}

export interface CloudContext {
  readonly clock: Clock
  readonly chance: Chance
  readonly fleetId: string
  /** Whether the provider may refuse, now. */
  readonly isStorming: () => boolean
}

export interface WorldParts {
  readonly createCloud: (context: CloudContext) => SimulatedCloud
  readonly createReconciliation: (ports: ReconciliationPorts) => SimulatedReconciliation
  readonly algorithm: ScalingAlgorithm
  readonly readToken: ManagerOptions['readToken']
  /** Breaks the store, for who wants to see that it is noticed. */
  readonly breakStore?: (store: FleetStore) => FleetStore
  readonly logger: Logger
}

export interface WorldOptions {
  readonly seed: number
  /** `call fault`, each to be met once. */
  readonly focus: readonly string[]
  readonly stormMs: number
  /** The grace time of the sweep and three of its looks, in milliseconds. */
  readonly graceMs: number
  /** How much longer than that the fleet may take to settle. */
  readonly patienceMs: number
  readonly keepsStory: boolean
}

export interface WorldOutcome {
  /** What did not hold; undefined: everything held. */
  readonly violation: string | undefined
  /** How often each `call fault` was met. */
  readonly hits: ReadonlyMap<string, number>
  /** Of the daemon, from its start to a kill. */
  readonly lives: number
  /** Machines that ran. */
  readonly machines: number
  /** Users that were served. */
  readonly assigned: number
  readonly digest: string
  readonly story: readonly string[]
}

const fleetId = 'simulated-fleet'
const regionId = 'fake/one'
const start = Date.UTC(2026, 0, 1)
const lookMs = 1_000
const narrow = { percent: 10, at_least: 1, window: 60 }
const wide = { percent: 100, at_least: 100, window: 600 }

export class World {
  readonly #options: WorldOptions
  readonly #parts: WorldParts
  readonly #clock = new SimulatedClock(start)
  readonly #chance: Chance
  readonly #story: Story
  readonly #plan: FaultPlan
  readonly #db = new MemoryDatabase(this.#clock, fleetId)
  readonly #cloud: SimulatedCloud
  readonly #invariants: Invariants
  readonly #seen = new Set<string>()
  #isStorming = true
  #lives = 0
  #daemon: SimulatedDaemon | undefined
  readonly #users = { waiting: 0, assigned: 0 }

  constructor(options: WorldOptions, parts: WorldParts) {
    this.#options = options
    this.#parts = parts
    this.#chance = new Chance(options.seed)
    this.#story = new Story(this.#clock, options.keepsStory)
    const chance = this.#chance
    this.#plan = new FaultPlan({
      chance,
      faultRate: chance.pick([0, 0.01, 0.03, 0.08]),
      killRate: chance.pick([0, 0.001, 0.003]),
      mostKills: 8,
      focus: options.focus,
      outage: {
        call: 'cloud.launch',
        isOn: this.#outage(chance),
        fault: chance.pick(['lost-request', 'lost-reply']),
      },
    })
    this.#cloud = parts.createCloud({
      clock: this.#clock,
      chance,
      fleetId,
      isStorming: () => this.#isStorming,
    })
    const { keepsTokens } = this.#cloud
    this.#invariants = new Invariants({ db: this.#db, machines: () => this.#cloud.machines(), keepsTokens })
  }

  async run(): Promise<WorldOutcome> {
    const { stormMs, graceMs, patienceMs } = this.#options
    let violation: string | undefined
    try {
      await this.#begin()
      await this.#pass(stormMs)
      this.#isStorming = false
      this.#plan.calm()
      this.#tell('calm')
      await this.#pass(graceMs)
      for (let waited = 0; this.#unsettled() !== undefined; waited += 30_000) {
        if (waited >= patienceMs) throw new Violation(`not settled: ${this.#unsettled() ?? ''}`)
        await this.#pass(30_000)
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      violation = error.message
      this.#tell(`VIOLATION ${violation}`)
    }
    return {
      violation,
      hits: this.#plan.hits,
      lives: this.#lives,
      machines: this.#seen.size,
      assigned: this.#users.assigned,
      digest: this.#story.digest,
      story: this.#story.lines,
    }
  }

  /** Some providers answer no launch for longer than the grace time: nobody knows what became of it. */
  #outage(chance: Chance): () => boolean {
    const from = start + chance.integer(0, 6) * 60_000
    const until = chance.happens(0.3) ? from + 8 * 60_000 : from
    return () => this.#clock.now() >= from && this.#clock.now() < until
  }

  async #begin(): Promise<void> {
    const { algorithm } = this.#parts
    const chance = this.#chance
    const agentsPerHostGiven = chance.pick([1, 2, null])
    await this.#db.transact(() => {
      insertRegion(this.#db, {
        id: regionId,
        provider: 'fake',
        enabled: true,
        algorithm: algorithm.name,
        options: {},
        deadlines: { ...defaultDeadlines, connect: 120, drain: 120, force_drain: true },
        targetFreeAgents: chance.integer(2, 4),
        // How much findings may end at once; most regions are to settle soon.
        blastRadius: chance.pick([narrow, wide, wide]),
        endings: {},
        sweepConfirmedUntil: null,
        minHosts: chance.integer(0, 2),
        maxHosts: chance.integer(3, 7),
        maxSurgeHosts: 0,
        instanceTypes: ['small'],
        agentsPerHost: agentsPerHostGiven ?? 1,
        agentsPerHostGiven,
        agentsPerHostDiscovered: null,
        providerOptions: {},
        maxAgentsPerUser: 1,
        channel: 'default',
        rollout: {},
        turn: 0,
        launchFailures: 0,
        launchBlockedUntil: null,
        launchErrorCode: null,
        launchError: null,
        revision: 1,
      })
      const image = { id: `${regionId}:v1`, regionId, imageId: 'v1', version: 'v1' }
      insertImage(this.#db, { ...image, status: 'ACTIVE', createdAt: this.#db.now(), revision: 1 })
    })
    this.#db.onChanges((changes) => {
      for (const { table, rowId } of changes) {
        const status = table === 'hosts' ? this.#db.hosts.get(rowId)?.status : undefined
        if (status !== undefined) this.#tell(`host ${rowId} is ${status}`)
      }
    })
    this.#live()
    this.#look()
    void runUsers({
      clock: this.#clock,
      chance,
      regionId,
      daemon: () => this.#daemon,
      isComing: () => this.#isStorming,
      counts: this.#users,
    })
  }

  async #pass(ms: number): Promise<void> {
    await this.#clock.advance(ms, () => this.#invariants.check())
  }

  /** Nobody waits to be served either: the buffer is kept again. */
  #unsettled(): string | undefined {
    const free = this.#db.agents.where((agent) => agent.status === 'WAITING').length
    const { targetFreeAgents = 0, maxHosts = 0 } = this.#db.regions.get(regionId) ?? {}
    const standing = this.#db.hosts.where((host) => host.status === 'ACTIVE').length
    const isFull = free >= targetFreeAgents || standing >= maxHosts
    return this.#invariants.unsettled() ?? (isFull ? undefined : `only ${free} agents are free`)
  }

  /** A daemon starts; it dies by a fault, and the next one starts a little later. */
  #live(): void {
    const life = new Life(this.#clock)
    this.#lives += 1
    this.#tell(`daemon ${this.#lives} starts`)
    const kill = (): void => {
      if (life.isOver) return
      life.end()
      this.#daemon = undefined
      this.#tell('daemon killed')
      this.#clock.after(this.#chance.integer(100, 5_000), () => this.#live())
    }
    const { algorithm, createReconciliation, logger } = this.#parts
    const [storePort, cloudPort] = [this.#port('store', life, kill), this.#port('cloud', life, kill)]
    const store = (this.#parts.breakStore ?? ((whole) => whole))(createMemoryStore(this.#db))
    const feed = createMemoryChangeFeed(this.#db)
    const { draw } = this.#chance
    this.#daemon = new SimulatedDaemon({
      life,
      holder: `daemon-${this.#lives}`,
      store: storePort.wrap(store),
      redeem: (redemption, fence) =>
        storePort.call('store.redeemToken', () => redeemToken(this.#db, redemption, fence)),
      feed: {
        latest: () => storePort.call('feed.latest', () => feed.latest()),
        read: (sequences) => storePort.call('feed.read', () => feed.read(sequences)),
        follow: (cursor, sink, signal) => this.#follow(life, { cursor, sink, signal }),
      },
      handler: cloudPort.wrap(this.#observed()),
      algorithm,
      createReconciliation,
      waitingUsers: () => this.#users.waiting,
      random: draw,
      logger,
    })
    this.#daemon.start()
  }

  #port(name: 'store' | 'cloud', life: Life, kill: () => void): FaultyPort {
    const isStore = name === 'store'
    return new FaultyPort({
      name,
      life,
      clock: this.#clock,
      chance: this.#chance,
      plan: this.#plan,
      story: this.#story,
      kill,
      lost: (call, mayBeCarriedOut) => {
        if (isStore) return new MusterError('database-unavailable', `${call}: no answer`, { retryable: true })
        const code = mayBeCarriedOut || this.#chance.happens(0.7) ? 'unknown' : 'transient'
        return new LaunchError(code, `${call}: no answer`)
      },
      latencyMs: isStore ? [1, 5] : [50, 400],
      lateMs: isStore ? [100, 20_000] : [1_000, 90_000],
      patienceMs: isStore ? 10_000 : 60_000,
    })
  }

  /** The changes arrive a moment later, and in a storm sometimes never: the follower asks for what was passed over. */
  #follow(life: Life, { cursor, sink, signal }: Following): Promise<void> {
    const feed = createMemoryChangeFeed(this.#db)
    const later = (hear: () => void): void => {
      life.clock.after(this.#chance.integer(1, 5), hear)
    }
    return feed.follow(
      cursor,
      {
        connected: () => later(() => sink.connected()),
        gap: (why) => later(() => sink.gap(why)),
        batch: (changes, isFull) => {
          if (life.isOver || (this.#isStorming && this.#chance.happens(0.02))) return
          later(() => sink.batch(changes, isFull))
        },
      },
      signal,
    )
  }

  #observed(): HostHandler {
    const { handler } = this.#cloud
    return {
      ...handler,
      launch: async (spec, signal) => {
        try {
          return await handler.launch(spec, signal)
        } finally {
          this.#invariants.checkMachines()
        }
      },
      terminate: (cloudIds, signal, region) => {
        this.#invariants.terminating(cloudIds)
        return handler.terminate(cloudIds, signal, region)
      },
    }
  }

  /** New machines get managers; in a storm a machine is lost now and then. */
  #look(): void {
    const chance = this.#chance
    const machines = this.#cloud.machines()
    this.#invariants.checkMachines()
    for (const machine of machines) {
      if (this.#seen.has(machine.cloudId)) continue
      this.#seen.add(machine.cloudId)
      this.#tell(`machine ${machine.cloudId} runs, of launch ${machine.launchId}`)
      if (this.#isStorming && chance.happens(0.15)) this.#cancelLaunch(machine.launchId)
      const isBroken = this.#isStorming && chance.happens(0.06)
      const fallsSilent = this.#isStorming && chance.happens(0.06)
      void runManager({
        machine,
        clock: this.#clock,
        chance,
        capacity: this.#db.regions.get(regionId)?.agentsPerHost ?? 1,
        bootMs: isBroken ? 24 * 3_600_000 : chance.integer(5_000, 60_000),
        silentAfterMs: fallsSilent ? chance.integer(60_000, 600_000) : Infinity,
        daemon: () => this.#daemon,
        isRunning: () => this.#cloud.machines().some(({ cloudId }) => cloudId === machine.cloudId),
        readToken: this.#parts.readToken,
        agentsOf: (hostId) => agentsOf(this.#db, hostId),
      })
    }
    const unlucky = machines[0]
    if (unlucky !== undefined && this.#isStorming && chance.happens(0.002)) {
      const { cloudId } = chance.pick(machines)
      this.#tell(`machine ${cloudId} is lost`)
      this.#cloud.lose(cloudId)
    }
    this.#clock.after(lookMs, () => this.#look())
  }

  /** A person's hand: the launch counts as ended, and nobody binds its machines but their managers and the sweep. */
  #cancelLaunch(launchId: string): void {
    const isOpen = ({ id, status }: { readonly id: string; readonly status: string }): boolean =>
      launchOf(id).launchId === launchId && (status === 'RUNNING' || status === 'QUEUED')
    for (const action of this.#db.actions.where(isOpen)) {
      this.#tell(`action ${action.id} is cancelled by hand`)
      this.#db.actions.put({ ...action, status: 'CANCELLED' })
    }
  }

  #tell(what: string): void {
    this.#story.tell(what)
  }
}

type Following = {
  readonly cursor: () => number
  readonly sink: Parameters<ReturnType<typeof createMemoryChangeFeed>['follow']>[1]
  readonly signal: AbortSignal
}
