/**
 * The manager of one simulated machine: boots, enrols, connects to whichever life of the daemon listens, keeps its seats
 * filled, and dies with its machine. Some never come up, and some fall silent.
 */
import type { Clock } from '../lib/clock.ts'
import type { Agent } from '../model/agent.ts'
import type { AgentReport } from '../store/fleet-store.ts'
import type { Chance } from './chance.ts'
import type { SimulatedDaemon } from './daemon.ts'

/** What runs somewhere, as the world's cloud shows it. */
export interface SimulatedMachine {
  readonly cloudId: string
  readonly launchId: string
  /** What its manager enrols with. */
  readonly enrolmentToken: string
}

export interface ManagerOptions {
  readonly machine: SimulatedMachine
  readonly clock: Clock
  readonly chance: Chance
  readonly capacity: number
  readonly bootMs: number
  /** From the start, in milliseconds: when it falls silent for good. Infinity: never. */
  readonly silentAfterMs: number
  readonly daemon: () => SimulatedDaemon | undefined
  readonly isRunning: () => boolean
  /** The id of a token's text, and its secret's hash. */
  readonly readToken: (text: string) => { readonly id: string; readonly secretHash: string }
  /** The rows of the host's agents: what its stream would have told it. */
  readonly agentsOf: (hostId: string) => readonly Agent[]
}

const redialMs: [number, number] = [1_000, 4_000]
const beatMs = 5_000

export async function runManager(options: ManagerOptions): Promise<void> {
  const { clock, chance, isRunning, machine } = options
  const silentAt = clock.now() + options.silentAfterMs
  await clock.sleep(options.bootMs)
  let hostId: string | undefined
  let seats = 0
  const isAlive = (): boolean => isRunning() && clock.now() < silentAt
  while (isAlive()) {
    const daemon = options.daemon()
    try {
      if (daemon?.isListening === true) {
        if (hostId === undefined) {
          const { id, secretHash } = options.readToken(machine.enrolmentToken)
          const { cloudId } = machine
          const redemption = { tokenId: id, secretHash, spkiHash: cloudId, cloudId, address: '' }
          const host = await daemon.enrol(redemption)
          // No for ever: the machine is none of the fleet's any more.
          if (host === undefined) return
          hostId = host.id
        }
        const ofHost = hostId
        if ((await daemon.connect(ofHost, '10.0.0.1', options.capacity)) === undefined) return
        await converse(options, daemon, ofHost, isAlive, () => `${ofHost}-a${(seats += 1)}`)
        daemon.disconnect(ofHost)
      }
    } catch {
      // The daemon died, or its database is away: dial again.
    }
    await clock.sleep(chance.integer(...redialMs))
  }
}

/** While the stream is open: a heartbeat, and a word about each seat that has changed. */
async function converse(
  options: ManagerOptions,
  daemon: SimulatedDaemon,
  hostId: string,
  isAlive: () => boolean,
  newSeat: () => string,
): Promise<void> {
  const { clock, capacity, agentsOf } = options
  const running = agentsOf(hostId).map(({ id, status }) => ({ id, status }))
  await daemon.report(hostId, running, true)
  while (isAlive() && daemon.heartbeat(hostId)) {
    const agents = agentsOf(hostId)
    const reports = agents.flatMap(({ id, status }): readonly AgentReport[] => {
      if (status === 'DYING') return [{ id, status, gone: true }]
      return status === 'ALLOCATED' ? [{ id, status: 'RUNNING' }] : []
    })
    const staying = agents.filter(({ status }) => status !== 'DYING').length
    const fresh = Array.from({ length: capacity - staying }, () => ({
      id: newSeat(),
      status: 'WAITING' as const,
      port: 4000,
    }))
    if (reports.length + fresh.length > 0) await daemon.report(hostId, [...reports, ...fresh], false)
    await clock.sleep(beatMs)
  }
}
