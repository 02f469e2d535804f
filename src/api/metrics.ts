/** What `/metrics` shows: the figures of `/v1/regions` at the moment of the scrape, and how assigns fared. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

import type { Health } from '../lib/health.ts'
import type { Tally } from '../lib/tally.ts'
import { countCapacity } from '../model/capacity.ts'
import { openBlocks } from '../model/offering.ts'
import { isOver, rolloutStates } from '../model/rollout.ts'
import type { RegionSnapshot } from '../model/snapshot.ts'
import type { FleetView } from '../store/fleet-view.ts'
import { isOverdue } from './rollout-progress.ts'
import type { SweepDesk } from './sweep-desk.ts'

export interface Metrics {
  readonly registry: Registry
  countAssign(outcome: string, seconds: number): void
}

export interface MetricsInputs {
  readonly view: FleetView
  readonly health: Pick<Health, 'ready'>
  readonly waitingUsers: (regionId: string) => number
  /** Calls of launches since the start; none unless told. */
  readonly launches: Pick<Tally<'region' | 'outcome'>, 'counts'> | undefined
  readonly sweep?: Pick<SweepDesk, 'held' | 'lastLook'> | undefined
}

const openStates = rolloutStates.filter((state) => !isOver({ state }))

export function createMetrics({ view, health, waitingUsers, launches, sweep }: MetricsInputs): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  new Gauge({
    name: 'muster_ready',
    help: '1 while /readyz answers 200.',
    registers,
    collect() {
      this.set(health.ready ? 1 : 0)
    },
  })
  const regionGauge = (
    name: string,
    help: string,
    labelNames: readonly string[],
    figures: (snapshot: RegionSnapshot) => Iterable<readonly [Readonly<Record<string, string>>, number]>,
  ): void => {
    new Gauge({
      name,
      help,
      labelNames: ['region', ...labelNames],
      registers,
      collect() {
        this.reset()
        for (const region of view.regionIds) {
          const snapshot = view.snapshot(region)
          if (snapshot === undefined) continue
          for (const [labels, value] of figures(snapshot)) this.set({ region, ...labels }, value)
        }
      },
    })
  }
  regionGauge(
    'muster_region_agents',
    'Agents that are free, on their way, or serve a user.',
    ['state'],
    (snapshot) => {
      const { free, coming, live } = countCapacity(snapshot)
      return Object.entries({ free, coming, live }).map(([state, count]) => [{ state }, count])
    },
  )
  regionGauge('muster_region_hosts', 'Hosts in each status.', ['status'], (snapshot) =>
    Object.entries(countCapacity(snapshot).hosts).map(([status, count]) => [{ status }, count]),
  )
  regionGauge('muster_region_target_free_agents', 'Free agents that the region keeps.', [], ({ region }) => [
    [{}, region.targetFreeAgents],
  ])
  regionGauge('muster_region_waiting_users', 'Requests that wait for an agent.', [], ({ region }) => [
    [{}, waitingUsers(region.id)],
  ])
  regionGauge('muster_region_launch_blocked', '1 while launches are held back.', [], (snapshot) => [
    [{}, snapshot.launchBlockedUntil === undefined ? 0 : 1],
  ])
  regionGauge(
    'muster_offerings_blocked',
    'Offerings that the provider has refused and is not asked for now.',
    [],
    (snapshot) => [[{}, openBlocks(snapshot).length]],
  )
  regionGauge('muster_rollouts', 'Roll-outs that are not over, in each state.', ['state'], ({ rollouts }) =>
    openStates.map((state) => [{ state }, rollouts.filter((rollout) => rollout.state === state).length]),
  )
  regionGauge(
    'muster_rollouts_canary_overdue',
    'Canaries that nothing has let go on by their deadline.',
    [],
    ({ rollouts, now }) => [[{}, rollouts.filter((rollout) => isOverdue(rollout, now)).length]],
  )
  new Counter({
    name: 'muster_launches_total',
    help: 'Calls of launches by outcome: whole, partial, or the code of the failure.',
    labelNames: ['region', 'outcome'],
    registers,
    collect() {
      this.reset()
      for (const { labels, count } of launches?.counts ?? []) this.inc(labels, count)
    },
  })
  if (sweep !== undefined) {
    regionGauge(
      'muster_blast_radius_held',
      'Endings that findings ask for and the blast radius holds back.',
      [],
      ({ region }) => [[{}, sweep.held(region.id)]],
    )
    regionGauge(
      'muster_sweep_last_look_timestamp_seconds',
      "When the provider's whole list was last compared with the rows.",
      [],
      ({ region }) => {
        const at = sweep.lastLook(region.id)
        return at === undefined ? [] : [[{}, at / 1000]]
      },
    )
  }

  const assigns = new Counter({
    name: 'muster_assigns_total',
    help: 'Assign requests by outcome.',
    labelNames: ['outcome'],
    registers,
  })
  const durations = new Histogram({
    name: 'muster_assign_duration_seconds',
    help: 'Time from an assign request to its answer, waiting included.',
    labelNames: ['outcome'],
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30],
    registers,
  })
  return {
    registry,
    countAssign: (outcome, seconds) => {
      assigns.inc({ outcome })
      durations.observe({ outcome }, seconds)
    },
  }
}
