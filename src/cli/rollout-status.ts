import { setTimeout as sleep } from 'node:timers/promises'

import { MusterError } from '../model/errors.ts'
import { isOver } from '../model/rollout.ts'
import { callApi } from './api-client.ts'
import type { RolloutLine } from './rollout-text.ts'
import { fitted, rolloutEvent, rolloutStory, rolloutTable } from './rollout-text.ts'

export interface StatusOptions {
  readonly region?: string
  readonly watch?: boolean
  readonly json?: boolean
}

const everyMs = 1_000
/** A daemon that is away (a restart, a take-over) is waited for. */
const patienceMs = 300_000
const rolledBack = 3

/** Print roll-outs, or follow them; gives the exit code. */
export async function rolloutStatus(id: string | undefined, options: StatusOptions): Promise<number> {
  const { watch = false, json = false, region } = options
  const found = id === undefined ? await readAll(region) : [await readOne(id)]
  if (watch) {
    const members = found.flatMap(({ group }) => group?.members ?? [])
    const ids = new Set(
      [...found, ...(id === undefined ? [] : members)].filter(isFollowed(id)).map((one) => one.id),
    )
    return followRollouts([...ids], json)
  }
  if (json) process.stdout.write(`${JSON.stringify(id === undefined ? found : found[0], undefined, 2)}\n`)
  else process.stdout.write(id === undefined ? rolloutTable(found, Date.now()) : found.map(story).join(''))
  return 0
}

/** Show how they go until all are over: 0 when they are DONE, 3 when one was rolled back. */
export async function followRollouts(ids: readonly string[], isJson: boolean): Promise<number> {
  const begin = isJson ? showJson : process.stdout.isTTY ? showLive : showEvents
  let show = begin()
  if (ids.length === 0) {
    process.stderr.write('muster: there is no roll-out to follow\n')
    return 0
  }
  let rollouts: readonly RolloutLine[] = []
  let awaySince: number | undefined
  while (!rollouts.length || !rollouts.every(isOver)) {
    try {
      rollouts = await Promise.all(ids.map(readOne))
      awaySince = undefined
      show(rollouts)
    } catch (error) {
      if (!(error instanceof MusterError) || !error.retryable) throw error
      if (awaySince === undefined) {
        process.stderr.write(`muster: ${error.message}; waiting for it\n`)
        // What was drawn has moved up.
        show = begin()
      }
      awaySince ??= Date.now()
      if (Date.now() - awaySince > patienceMs) throw error
    }
    if (!rollouts.length || !rollouts.every(isOver)) await sleep(everyMs)
  }
  return rollouts.some(({ state }) => state === 'ROLLED_BACK') ? rolledBack : 0
}

type Show = (rollouts: readonly RolloutLine[]) => void

/** Drawn again in place. */
function showLive(): Show {
  let rows = 0
  return (rollouts) => {
    // Some terminals do not say how wide they are.
    const { columns } = process.stdout
    const text = fitted(rolloutTable(rollouts, Date.now()), columns > 0 ? columns : 80)
    process.stdout.write(`${rows === 0 ? '' : `\u001b[${rows}A`}\u001b[0J${text}`)
    rows = text.split('\n').length - 1
  }
}

/** A line for each that has changed. */
function showEvents(): Show {
  const last = new Map<string, string>()
  return (rollouts) => {
    for (const rollout of rollouts) {
      const line = rolloutEvent(rollout)
      if (last.get(rollout.id) === line) continue
      last.set(rollout.id, line)
      process.stdout.write(`${new Date().toISOString()}  ${line}\n`)
    }
  }
}

/** The whole on one line, when something has changed. */
function showJson(): Show {
  let last = ''
  return (rollouts) => {
    const line = JSON.stringify(rollouts)
    if (line !== last) process.stdout.write(`${line}\n`)
    last = line
  }
}

/** One that was named is followed whatever its state: its end is the answer. */
const isFollowed =
  (id: string | undefined) =>
  (rollout: Pick<RolloutLine, 'state'>): boolean =>
    id !== undefined || !isOver(rollout)

const story = (rollout: RolloutLine): string => rolloutStory(rollout, Date.now())

async function readAll(region: string | undefined): Promise<readonly RolloutLine[]> {
  const query = region === undefined ? '' : `?region=${encodeURIComponent(region)}`
  const { rollouts } = await callApi<{ rollouts: readonly RolloutLine[] }>(`/v1/rollouts${query}`)
  return rollouts
}

function readOne(id: string): Promise<RolloutLine> {
  return callApi<RolloutLine>(`/v1/rollouts/${encodeURIComponent(id)}`)
}
