/** The HTTP API over a small fleet, with or without a port. */
import { createSecretKey } from 'node:crypto'

import { SignJWT } from 'jose'

import type { Backends } from '../../src/backends/backends.ts'
import type { ApiOptions } from '../../src/api/server.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { MusterError } from '../../src/model/errors.ts'
import type { DecisionRecord } from '../../src/model/decision.ts'
import { insertImage, insertRegion } from '../../src/store/memory/region-rows.ts'
import { MemoryDatabase } from '../../src/store/memory/memory-database.ts'
import { createMemoryStore } from '../../src/store/memory/memory-store.ts'
import { anImage } from './factories.ts'
import type { FleetStore } from '../../src/store/fleet-store.ts'
import { SmallFleet } from './small-fleet.ts'

export const adminSecret = 'an-admin-secret-of-some-length!!'
export const jwtSecret = 'a-jwt-secret-of-at-least-32-characters'

/** A token as `muster token` makes it; `changes` overwrites or, with undefined, removes claims. */
export async function aToken(
  changes: Readonly<Record<string, unknown>> = {},
  { secret = jwtSecret, alg = 'HS256' }: { secret?: string; alg?: string } = {},
): Promise<string> {
  const seconds = Math.floor(Date.now() / 1000)
  const claims: Record<string, unknown> = { sub: 'alice', iat: seconds, exp: seconds + 60, ...changes }
  const present = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined))
  return await new SignJWT(present).setProtectedHeader({ alg }).sign(createSecretKey(Buffer.from(secret)))
}

export async function bearer(
  changes: Readonly<Record<string, unknown>> = {},
): Promise<{ authorization: string }> {
  return { authorization: `Bearer ${await aToken(changes)}` }
}

export const asAdmin = { 'x-muster-admin-secret': adminSecret }

export const hookSecret = 'a-hook-secret-of-at-least-32-characters'

/** Finds nothing, whatever is asked of it. */
const noBackends: unknown = new Proxy(
  {},
  {
    get: () => () => Promise.reject(new MusterError('not-found', 'there is no such backend')),
  },
)

export interface ApiFixture {
  readonly fleet: SmallFleet
  /** Of its roll-outs: regions are in it once one was asked to start there, with an ACTIVE image. */
  readonly database: MemoryDatabase
  readonly options: ApiOptions
  readonly health: { ready: boolean; cause: string | undefined }
  readonly decisions: DecisionRecord[]
}

/** Roll-outs in memory. */
function rolloutStore(fleet: SmallFleet, db: MemoryDatabase) {
  const store = createMemoryStore(db)
  const reached = <Args extends readonly unknown[], Answer>(call: (...args: Args) => Promise<Answer>) => {
    return async (...args: Args): Promise<Answer> => {
      await fleet.reach()
      return call(...args)
    }
  }
  const known = (regionId: string): void => {
    if (db.regions.get(regionId) !== undefined) return
    const { region, version = 'v1' } = fleet.regions.get(regionId)!
    insertRegion(db, { ...region })
    insertImage(db, anImage({ id: `${regionId}:${version}`, regionId, version }))
  }
  return {
    readRows: reached((ids: Parameters<FleetStore['readRows']>[0]) => store.readRows(ids)),
    readRollouts: reached((filter: Parameters<FleetStore['readRollouts']>[0]) => store.readRollouts(filter)),
    readRolloutHealth: reached((rollout: Parameters<FleetStore['readRolloutHealth']>[0]) =>
      store.readRolloutHealth(rollout),
    ),
    readRollout: reached((id: string) => store.readRollout(id)),
    steerRollout: reached((...args: Parameters<FleetStore['steerRollout']>) => store.steerRollout(...args)),
    startRollouts: reached(async (...args: Parameters<typeof store.startRollouts>) => {
      await db.transact(() => {
        for (const { regionId } of args[0]) known(regionId)
      })
      return store.startRollouts(...args)
    }),
  }
}

export function anApi(overrides: Partial<ApiOptions> = {}): ApiFixture {
  const fleet = new SmallFleet()
  const health = { ready: true, cause: undefined }
  const decisions: DecisionRecord[] = []
  const database = new MemoryDatabase(fleet.clock, 'fleet')
  const options: ApiOptions = {
    host: '127.0.0.1',
    port: 0,
    adminSecret,
    hookSecrets: [hookSecret],
    jwt: { secret: jwtSecret },
    assignLimit: 1_000,
    store: {
      readHosts: async ({ includeTerminated }) => {
        await fleet.reach()
        return fleet.hostViews().filter((host) => includeTerminated || host.status !== 'TERMINATED')
      },
      readHost: async (id) => {
        await fleet.reach()
        return fleet.hostViews().find((host) => host.id === id)
      },
      drainHost: async (id) => {
        await fleet.reach()
        const host = fleet.hosts.get(id)
        if (host === undefined || !['LAUNCHING', 'ACTIVE'].includes(host.status)) return false
        host.status = 'DRAINING'
        return true
      },
      ...rolloutStore(fleet, database),
      readDecisions: async ({ region, target, limit }) => {
        await fleet.reach()
        return decisions
          .filter((decision) => region === undefined || decision.regionId === region)
          .filter((decision) => target === undefined || decision.target === target)
          .slice(0, limit)
      },
    },
    view: fleet.view,
    assigner: fleet.assigner(),
    health,
    backends: noBackends as Backends,
    sweep: {
      look: async (regionId) => {
        await fleet.reach()
        return { regionId, failure: null, machines: 0, hosts: 0, findings: [] }
      },
      confirm: () => fleet.reach(),
      held: () => 0,
      lastLook: () => undefined,
    },
    wake: (regionId, cause) => fleet.wakes.push(`${regionId} ${cause.kind}`),
    hint: () => true,
    clock: systemClock,
    logger: silentLogger,
    ...overrides,
  }
  return { fleet, database, options, health, decisions }
}
