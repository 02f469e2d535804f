/** The lease, turns and actions: what only the active daemon writes. */
import { z } from 'zod'

import type { FleetStore } from '../store/fleet-store.ts'
import { callFunction, parse, timeText } from './call-function.ts'
import type { HasuraClient } from './client.ts'
import { documents } from './documents.ts'
import { regionRow } from './region-rows.ts'
import { actionRow, begunCallRow, hostRow } from './rows.ts'

type TurnWrites = Pick<
  FleetStore,
  | 'takeLease'
  | 'releaseLease'
  | 'commitTurn'
  | 'readOpenActions'
  | 'beginAttempt'
  | 'postponeAction'
  | 'endAction'
  | 'logAction'
  | 'beginCall'
  | 'settleCall'
  | 'refuseCall'
  | 'storeDiscovery'
  | 'finishLaunch'
  | 'bindLaunch'
  | 'endHost'
  | 'drainHost'
  | 'prune'
>

const lease = z.object({ holder: z.string(), fence: z.number() })
const id = z.object({ id: z.string() })

const openActionRows = z.object({
  actions: z.array(z.union([actionRow, z.unknown().transform(() => undefined)])),
})
const attemptsOf = z.object({
  update_fleet_actions: z.object({ returning: z.array(z.object({ attempts: z.number() })) }),
})
const drained = z.object({ update_fleet_hosts: z.object({ affected_rows: z.number() }) })

export function createTurnWrites(client: HasuraClient, now: () => number): TurnWrites {
  const closeAction = async (actionId: string, set: Readonly<Record<string, unknown>>) => {
    await client.request(documents.updateOpenAction, { id: actionId, set })
  }
  return {
    takeLease: async (holder, seconds) => {
      const [row] = await callFunction(client, 'take_lease', { holder, seconds }, lease)
      return row
    },
    releaseLease: async (holder, fence) => {
      await callFunction(client, 'release_lease', { holder, fence }, lease)
    },
    commitTurn: async (regionId, turn, fence, plan) => {
      const args = { region_id: regionId, turn, fence, plan }
      const [row] = await callFunction(client, 'commit_turn', args, regionRow)
      return row
    },
    readOpenActions: async () => {
      const answer = await client.request(documents.openActions)
      const { actions } = parse(openActionRows, answer, 'fleet_actions')
      return actions.filter((action) => action !== undefined)
    },
    beginAttempt: async (actionId) => {
      const answer = await client.request(documents.beginAttempt, { id: actionId, now: timeText(now()) })
      return parse(attemptsOf, answer, 'update_fleet_actions').update_fleet_actions.returning[0]
    },
    postponeAction: async (actionId, at, code, message) => {
      await closeAction(actionId, {
        status: 'QUEUED',
        next_attempt_at: timeText(at),
        error_code: code,
        error: message,
      })
    },
    endAction: async (actionId, status, code, message) => {
      await closeAction(actionId, {
        status,
        next_attempt_at: null,
        error_code: code ?? null,
        error: message ?? null,
        finished_at: timeText(now()),
      })
    },
    logAction: async (actionId, level, message) => {
      // The time in milliseconds orders the lines, and makes a line that is sent twice one line.
      const sequence = now() % 2 ** 31
      await client.request(documents.insertLog, { line: { action_id: actionId, sequence, level, message } })
    },
    beginCall: async (actionId, fence, offering, request, token) => {
      const { id: tokenId, secretHash, uses, lifetimeS } = token
      const [row] = await callFunction(
        client,
        'begin_call',
        {
          ...{ action_id: actionId, fence, offering, request },
          token: { id: tokenId, secret_hash: secretHash, uses, lifetime_s: lifetimeS },
        },
        begunCallRow,
      )
      return row
    },
    settleCall: async (actionId, fence) => {
      await callFunction(client, 'settle_call', { action_id: actionId, fence }, id)
    },
    refuseCall: async (actionId, fence, { code, message, blockS, next }) => {
      const args = {
        action_id: actionId,
        fence,
        code,
        message,
        block_s: blockS,
        next_offering: next ?? null,
      }
      const rows = await callFunction(client, 'refuse_call', args, actionRow)
      if (rows.length === 0) return undefined
      return { next: rows.find((row) => row.id !== actionId) }
    },
    storeDiscovery: async (regionId, fence, found) => {
      const nothing = { agents: null, code: null, message: null }
      const [row] = await callFunction(
        client,
        'store_discovery',
        { region_id: regionId, fence, ...nothing, ...found },
        regionRow,
      )
      return row
    },
    finishLaunch: async (actionId, fence, outcome) => {
      const result = {
        cloud_ids: outcome.cloudIds,
        code: outcome.code ?? null,
        message: outcome.message ?? null,
        block_s: outcome.blockS ?? null,
        until: outcome.until === undefined ? null : timeText(outcome.until),
      }
      const rows = await callFunction(client, 'finish_launch', { action_id: actionId, fence, result }, id)
      return rows.length > 0
    },
    bindLaunch: (launchId, cloudIds) =>
      callFunction(client, 'bind_launch', { launch_id: launchId, cloud_ids: cloudIds }, hostRow),
    endHost: async (hostId, fence, reason) => {
      const rows = await callFunction(client, 'end_host', { host_id: hostId, fence, reason }, id)
      return rows.length > 0
    },
    drainHost: async (hostId, reason) => {
      const answer = await client.request(documents.drainHost, { id: hostId, reason })
      return parse(drained, answer, 'update_fleet_hosts').update_fleet_hosts.affected_rows > 0
    },
    prune: async (days, fence) => {
      await callFunction(client, 'prune', { days, fence }, id)
    },
  }
}
