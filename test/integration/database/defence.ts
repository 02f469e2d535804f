/**
 * A defence of the database with the test that shows it: `check` passes on our schema and fails once `without` has
 * taken the guard out. Both are proved for each, so that no check can pass by looking at nothing.
 */
import type pg from 'pg'
import { expect, it } from 'vitest'

import type { FleetDatabase, Row } from '../../support/fleet-database.ts'
import { fleetDatabase } from '../../support/fleet-database.ts'
import { describeOnPostgres } from '../../support/fresh-database.ts'

export interface Defence {
  /** A sentence. */
  readonly holds: string
  readonly check: (fleet: FleetDatabase) => Promise<void>
  /** What to take out: each alone must make the check fail. */
  readonly without: readonly Mutation[]
  /** How many statements may be under way at once; 12 unless told. */
  readonly connections?: number
}

export type Mutation = (fleet: FleetDatabase) => Promise<string>

export function proveDefences(title: string, defences: readonly Defence[]): void {
  describeOnPostgres(title, () => {
    for (const { holds, check, without, connections = 12 } of defences) {
      it(holds, async () => {
        await onScratch(connections, check)
        for (const mutation of without) {
          let failure: unknown
          let removed = ''
          // Without its guard a race may end well by chance, but not time after time.
          for (let attempt = 0; attempt < 5 && failure === undefined; attempt += 1) {
            await onScratch(connections, async (fleet) => {
              removed = await mutation(fleet)
              failure = await check(fleet).then(
                () => undefined,
                (error: unknown) => error,
              )
            })
          }
          // An assertion that failed, not a statement that broke: the violation was seen.
          expect(failure, `the check once ${removed} is out`).toMatchObject({ name: 'AssertionError' })
        }
      })
    }
  })
}

async function onScratch(connections: number, use: (fleet: FleetDatabase) => Promise<void>): Promise<void> {
  const fleet = await fleetDatabase({ connections })
  try {
    await use(fleet)
  } finally {
    await fleet.close()
  }
}

export function trigger(table: string, name: string): Mutation {
  return async (fleet) => {
    await fleet.sql(`alter table fleet.${table} disable trigger ${name}`)
    return `trigger ${name} of ${table}`
  }
}

export function constraint(table: string, name: string): Mutation {
  return async (fleet) => {
    await fleet.sql(`alter table fleet.${table} drop constraint ${name}`)
    return `constraint ${name}`
  }
}

export function index(name: string): Mutation {
  return async (fleet) => {
    await fleet.sql(`drop index fleet.${name}`)
    return `index ${name}`
  }
}

/** A piece of a function's text, wherever it occurs, replaced. */
export function piece(name: string, text: string, replacement = ''): Mutation {
  return async (fleet) => {
    const [row] = await fleet.sql(`select pg_get_functiondef(('fleet.' || $1)::regproc) as text`, [name])
    const definition = row!['text'] as string
    if (!definition.includes(text)) throw new Error(`${name} does not say: ${text}`)
    await fleet.sql(definition.replaceAll(text, replacement))
    return `"${text}" of ${name}`
  }
}

export function both(...mutations: readonly Mutation[]): Mutation {
  return async (fleet) => {
    const removed: string[] = []
    for (const mutation of mutations) removed.push(await mutation(fleet))
    return removed.join(' and ')
  }
}

/** The SQLSTATE with which a statement is refused; undefined when it is carried out. */
export async function refusalOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    return (error as pg.DatabaseError).code ?? 'no code'
  }
}

/** What the database answers to what it guards: Hasura hides the text of any other code. */
export const refused = '23514'

/** Wait until the work is over or its connection waits for a lock; gives which. */
export async function blockedOrDone(
  fleet: FleetDatabase,
  client: pg.Client,
  work: Promise<unknown>,
): Promise<'blocked' | 'done'> {
  const { processID } = client as pg.Client & { readonly processID: number }
  const state = { isDone: false }
  const done = () => (state.isDone = true)
  work.then(done, done)
  for (;;) {
    const [row] = await fleet.sql('select cardinality(pg_blocking_pids($1)) > 0 as waits', [processID])
    if (state.isDone) return 'done'
    if (row!['waits'] === true) return 'blocked'
  }
}

/** Call a function of the fleet on a connection; gives its rows. */
export async function call(
  on: pg.Client | pg.Pool,
  name: string,
  args: readonly unknown[],
): Promise<readonly Row[]> {
  const places = args.map((_, place) => `$${place + 1}`).join(', ')
  const values = args.map((arg) => (typeof arg === 'object' && arg !== null ? JSON.stringify(arg) : arg))
  return (await on.query<Row>(`select * from fleet.${name}(${places})`, values)).rows
}

let claims = 0

export interface Claim {
  readonly user?: string
  readonly key?: string
  readonly session?: string
  readonly region?: string
  readonly image?: string
  readonly candidates?: readonly string[]
  readonly excluded?: readonly string[]
  readonly fence?: number
  readonly rollout_id?: string
  readonly arm?: string
}

/** One claim; a user and a session of its own unless told. */
export async function claim(on: pg.Client | pg.Pool, wish: Claim = {}): Promise<Row> {
  claims += 1
  const { region = 'local/demo' } = wish
  const [row] = await call(on, 'claim_agent', [
    region,
    wish.fence ?? 1,
    {
      user_id: wish.user ?? `user-${claims}`,
      session_id: wish.session ?? `session-${claims}`,
      idempotency_key: wish.key ?? null,
      image_id: wish.image ?? `${region}/image`,
      version: null,
      requested_at: new Date().toISOString(),
      demand_region_id: region,
      candidates: wish.candidates ?? [],
      excluded_hosts: wish.excluded ?? [],
      rollout_id: wish.rollout_id ?? null,
      arm: wish.arm ?? null,
    },
  ])
  return row!
}

/** A turn's plan with nothing in it but what is given. */
export function aPlan(parts: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return {
    causes: [],
    inputs: {},
    decisions: [],
    actions: [],
    hosts: [],
    host_updates: [],
    agent_updates: [],
    ...parts,
  }
}

/** How many times each value occurs, for sentences about many outcomes. */
export function tally(values: readonly unknown[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const value of values) counts[String(value)] = (counts[String(value)] ?? 0) + 1
  return counts
}

export const ids = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, number) => `${prefix}${String(number + 1).padStart(3, '0')}`)
