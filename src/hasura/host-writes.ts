/** What managers cause: registration, the states of agents, heartbeats. */
import { z } from 'zod'

import { MusterError } from '../model/errors.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import { callFunction, timeText } from './call-function.ts'
import type { HasuraClient } from './client.ts'
import { agentRow, hostRow } from './rows.ts'

type HostWrites = Pick<FleetStore, 'registerHost' | 'reportAgents' | 'reportInterruption' | 'flushHeartbeats'>

const id = z.object({ id: z.string() })

export function createHostWrites(client: HasuraClient): HostWrites {
  return {
    registerHost: async (hostId, address, capacity, fence) => {
      const args = { host_id: hostId, address, capacity, fence }
      return (await callFunction(client, 'register_host', args, hostRow))[0]
    },
    reportAgents: async (hostId, reports, isFull, fence) => {
      const args = { host_id: hostId, reports, is_full: isFull, fence }
      try {
        return await callFunction(client, 'report_agents', args, agentRow)
      } catch (error) {
        if (error instanceof MusterError && error.code === 'database-refused') return undefined
        throw error
      }
    },
    reportInterruption: async (hostId, { kind, at, action }, fence) => {
      const args = { host_id: hostId, kind, at: timeText(at), action, fence }
      return (await callFunction(client, 'report_interruption', args, hostRow))[0]
    },
    flushHeartbeats: async (beats, fence) => {
      if (beats.size === 0) return
      const byHost = Object.fromEntries([...beats].map(([hostId, at]) => [hostId, timeText(at)]))
      await callFunction(client, 'flush_heartbeats', { beats: byHost, fence }, id)
    },
  }
}
