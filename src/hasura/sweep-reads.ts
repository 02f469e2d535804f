/** What the sweep reads: from the tables, after the provider's list, and never more than a page at once. */
import { setImmediate } from 'node:timers/promises'

import { z } from 'zod'

import { hostStatuses } from '../model/host.ts'
import type { SweepHost, SweepRows } from '../model/sweep.ts'
import type { FleetStore } from '../store/fleet-store.ts'
import { callFunction, parse } from './call-function.ts'
import type { HasuraClient } from './client.ts'
import { documents } from './documents.ts'
import { time } from './rows.ts'

type SweepStore = Pick<FleetStore, 'readSweepRows' | 'confirmSweep'>

/** Rows that are parsed in one go: some milliseconds' work. */
const pageSize = 1_000
/** Ids in one condition. */
const namesAtOnce = 500

const status = z.enum(hostStatuses)
const openActions = z.object({
  actions: z.array(
    z.object({
      id: z.string(),
      kind: z.enum(['launch', 'terminate', 'clear-orphan']),
      target: z.string().nullable(),
    }),
  ),
})
const hostsPage = z.object({
  hosts: z.array(
    z
      .object({
        id: z.string(),
        cloud_id: z.string().nullable(),
        launch_id: z.string().nullable(),
        status,
        created_at: time,
      })
      .transform((row): SweepHost => ({
        id: row.id,
        cloudId: row.cloud_id,
        launchId: row.launch_id,
        status: row.status,
        createdAt: row.created_at,
      })),
  ),
})
const namedHosts = z.object({
  hosts: z.array(
    z
      .object({ id: z.string(), cloud_id: z.string(), status })
      .transform((row) => ({ id: row.id, cloudId: row.cloud_id, status: row.status })),
  ),
})
const oldestHost = z.object({ hosts: z.array(z.object({ created_at: time })) })
const knownLaunches = z.object({ hosts: z.array(z.object({ launch_id: z.string() })) })
const id = z.object({ id: z.string() })

/** Each once. */
function partsOf(names: readonly string[]): readonly (readonly string[])[] {
  const unique = [...new Set(names)]
  const parts = Math.ceil(unique.length / namesAtOnce)
  return Array.from({ length: parts }, (_, part) =>
    unique.slice(part * namesAtOnce, (part + 1) * namesAtOnce),
  )
}

export function createSweepReads(client: HasuraClient): SweepStore {
  const ask = async <Schema extends z.ZodType>(
    schema: Schema,
    document: string,
    variables: Readonly<Record<string, unknown>> = {},
  ): Promise<z.output<Schema>> => {
    const answer = parse(schema, await client.request(document, variables), 'rows for the sweep')
    await setImmediate()
    return answer
  }
  return {
    readSweepRows: async (region, machines) => {
      // Actions first: a launch that ends meanwhile leaves rows that look unlaunched, at this one look.
      const { actions } = await ask(openActions, documents.sweepActions, { region })
      const hosts: SweepHost[] = []
      for (let after = ''; ;) {
        const page = await ask(hostsPage, documents.sweepHosts, { region, after, limit: pageSize })
        hosts.push(...page.hosts)
        if (page.hosts.length < pageSize) break
        after = page.hosts.at(-1)?.id ?? ''
      }
      const bound = new Set(hosts.map((host) => host.cloudId))
      const strangers = machines.filter(({ cloudId }) => !bound.has(cloudId))
      const common = { openActions: actions, hosts }
      if (strangers.length === 0) return { ...common, named: [], launches: [], oldestRowAt: undefined }
      const named: SweepRows['named'][number][] = []
      for (const cloudIds of partsOf(strangers.map((machine) => machine.cloudId))) {
        named.push(...(await ask(namedHosts, documents.sweepNames, { cloudIds })).hosts)
      }
      const launches: string[] = []
      for (const launchIds of partsOf(strangers.map((machine) => machine.launchId))) {
        const known = await ask(knownLaunches, documents.sweepLaunches, { launchIds })
        launches.push(...known.hosts.map((host) => host.launch_id))
      }
      const oldest = await ask(oldestHost, documents.oldestHost)
      return { ...common, named, launches, oldestRowAt: oldest.hosts[0]?.created_at }
    },

    confirmSweep: async (regionId, seconds, actor) => {
      const rows = await callFunction(client, 'confirm_sweep', { region_id: regionId, seconds, actor }, id)
      return rows.length > 0
    },
  }
}
