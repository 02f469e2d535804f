/** What managers cause: enrolment, registration, the states of agents, heartbeats. */
import { z } from 'zod'

import { MusterError } from '../model/errors.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import { callFunction, parse, timeText } from './call-function.ts'
import type { HasuraClient } from './client.ts'
import { documents } from './documents.ts'
import { agentRow, hostRow } from './rows.ts'

type HostWrites = Pick<
  FleetStore,
  'readHostByKeyHash' | 'enrollHost' | 'registerHost' | 'reportAgents' | 'flushHeartbeats'
>

const someHosts = z.object({ hosts: z.array(hostRow) })
const id = z.object({ id: z.string() })

export function createHostWrites(client: HasuraClient): HostWrites {
  return {
    readHostByKeyHash: async (hash) => {
      const answer = await client.request(documents.hostByKeyHash, { hash })
      return parse(someHosts, answer, 'fleet_hosts').hosts[0]
    },
    enrollHost: async ({ launchId, cloudId, keyHash, address }, fence) => {
      const args = { launch_id: launchId, cloud_id: cloudId, key_hash: keyHash, address, fence }
      return (await callFunction(client, 'enroll_host', args, hostRow))[0]
    },
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
    flushHeartbeats: async (beats, fence) => {
      if (beats.size === 0) return
      const byHost = Object.fromEntries([...beats].map(([hostId, at]) => [hostId, timeText(at)]))
      await callFunction(client, 'flush_heartbeats', { beats: byHost, fence }, id)
    },
  }
}
