/** Thousands of documents that mean no good; MUSTER_TEST_FUZZ_RUNS says how many (both databases and all roles together), MUSTER_TEST_FUZZ_SEED which. */
import { buildClientSchema, getIntrospectionQuery } from 'graphql'
import type { IntrospectionQuery } from 'graphql'
import { describe, expect, it } from 'vitest'

import type { Answer, AnEndpoint, DatabaseKind } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { aGuardedOffice } from '../../support/guarded-office.ts'
import type { HostileRequest } from '../../support/hostile-documents.ts'
import { hostileRequest } from '../../support/hostile-documents.ts'
import type { Headers } from '../../support/office.ts'
import { runs as runsOf } from '../../support/thoroughness.ts'
import { seed } from './contract/seed.ts'

const allRuns = Number(process.env['MUSTER_TEST_FUZZ_RUNS'] ?? runsOf(2_000, 10_000))
/** PGlite is one session, and slower. */
const runsOn = (kind: DatabaseKind): number =>
  databaseKinds.length === 1 ? allRuns : Math.ceil(allRuns * (kind === 'pglite' ? 0.1 : 0.9))
/** The rest come from those who may not do everything. */
const shareOfAdmin = 0.5
const firstSeed = Number(process.env['MUSTER_TEST_FUZZ_SEED'] ?? 1)
const perBatch = 20
/** Of a batch, while others run on the same two cores. */
const patienceMs = 60_000
/** What only the inside knows: SQL, names that we make up, files. */
const internal =
  /\bselect\b.*\bfrom\b|\binsert into\b|syntax error at or near|\bt\d+\.|muster_|node_modules|\.ts:\d|\$\d+::|internal error/i

/** What chance does not come to: a row of its own that lands on another's. */
const theft = (turn: number): HostileRequest => ({
  query: `mutation {
    insert_note(
      objects: [{id: ${turn % 8}, author_id: ${2 + (turn % 2)}, title: "stolen ${turn}"}]
      on_conflict: {constraint: note_pkey, update_columns: [title, is_public]}
    ) { affected_rows returning { id title } }
  }`,
})

interface Batch {
  /** The first seed. */
  readonly from: number
  readonly headers?: Headers
  readonly requests: readonly HostileRequest[]
  /** More that is wrong with the answers. */
  readonly judge?: (text: string) => string | undefined
}

/** Sends batches from four callers at once; gives what should not have been answered, and how much was. */
async function sendAll(
  endpoint: AnEndpoint,
  runs: number,
  batchFrom: (seed: number) => Batch | Promise<Batch>,
): Promise<{ readonly surprises: readonly string[]; readonly answeredShare: number }> {
  let answered = 0
  const surprises: string[] = []
  const seeds = Array.from({ length: Math.ceil(runs / perBatch) }, (_, index) => firstSeed + index * perBatch)
  const work = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
      const { from, requests, headers, judge } = await batchFrom(seed)
      const began = performance.now()
      const text = await endpoint.askText(JSON.stringify(requests), headers)
      expect(performance.now() - began, `seeds from ${from}`).toBeLessThan(patienceMs)
      const secret = judge?.(text)
      if (secret !== undefined) surprises.push(secretIn(text, secret, requests, from))
      const answers = JSON.parse(text) as Answer | Answer[]
      // Who is refused is refused once.
      ;(Array.isArray(answers) ? answers : [answers]).forEach(({ errors }, index) => {
        if (errors === undefined) answered += 1
        for (const { message, extensions } of errors ?? []) {
          if (extensions.code === 'unexpected' || internal.test(message)) {
            surprises.push(
              `seed ${from + index}: ${extensions.code}: ${message} at ${extensions.path} for ${JSON.stringify(requests[index]).slice(0, 1_500)}`,
            )
          }
        }
      })
    }
  }
  await Promise.all([work(), work(), work(), work()])
  return { surprises, answeredShare: answered / runs }
}

function secretIn(text: string, secret: string, requests: readonly HostileRequest[], from: number): string {
  const answers = JSON.parse(text) as unknown[]
  const index = answers.findIndex((answer) => JSON.stringify(answer).includes(secret))
  return `seed ${from + index}: a secret in ${JSON.stringify(answers[index]).slice(0, 1_000)} for ${JSON.stringify(requests[index]).slice(0, 1_500)}`
}

describe.each(databaseKinds)('hostile documents on %s', (kind) => {
  it(
    'are answered or refused, each in time and in public words, and reach nothing',
    { timeout: 300_000 },
    async () => {
      const library = await anEndpoint(kind)
      try {
        const { data } = await library.ask(getIntrospectionQuery())
        const schema = buildClientSchema(data as unknown as IntrospectionQuery)
        await library.ask(seed.query, seed.variables)
        const { surprises, answeredShare } = await sendAll(library, runsOn(kind) * shareOfAdmin, (from) => ({
          from,
          requests: Array.from({ length: perBatch }, (_, index) => hostileRequest(schema, from + index)),
        }))
        expect(surprises).toEqual([])
        // Most would be refused if the documents were nonsense: then nothing was tried.
        expect(answeredShare).toBeGreaterThan(0.2)
        expect(await library.ask('{ canary_seen { birds alive } }')).toEqual({
          data: { canary_seen: [{ birds: 1, alive: true }] },
        })
      } finally {
        await library.close()
      }
    },
  )

  it(
    'tell no role what is hidden from it, and change no row that is not its own, whatever its session says',
    { timeout: 300_000 },
    async () => {
      const { office, schema, askers, foreignRows, reviveOwnRows } = await aGuardedOffice(kind)
      try {
        const before = await foreignRows()
        const runs = runsOn(kind) * (1 - shareOfAdmin)
        let changes = 0
        const { surprises, answeredShare } = await sendAll(office, runs, async (from) => {
          const turn = Math.floor(from / perBatch)
          if (turn % 5 === 0) changes += await reviveOwnRows()
          // Every other batch is of the first few, whose sessions are in order.
          const asker = askers[turn % 2 === 0 ? (turn / 2) % 5 : Math.floor(turn / 2) % askers.length]!
          return {
            from,
            headers: asker.headers,
            requests: [
              ...Array.from({ length: perBatch - 1 }, (_, index) =>
                (from + index) % 8 === 0
                  ? hostileRequest(schema, from + index)
                  : hostileRequest(asker.schema, from + index, { beyond: schema }),
              ),
              theft(turn),
            ],
            judge: asker.hears,
          }
        })
        expect(surprises).toEqual([])
        // Many sessions are refused whatever they ask.
        expect(answeredShare).toBeGreaterThan(0.1)
        expect(await foreignRows()).toBe(before)
        // What is refused on others' rows is done on one's own.
        await office.askText(JSON.stringify(theft(2)), askers[0]!.headers)
        changes += await reviveOwnRows()
        expect(changes).toBeGreaterThan(0)
        for (const { headers, name, hears } of askers) {
          const said = await office.askText(JSON.stringify({ query: getIntrospectionQuery() }), headers)
          expect(hears(said), name).toBeUndefined()
          const explained = await fetch(`${office.endpoint.url}/explain`, {
            method: 'POST',
            headers,
            body: JSON.stringify({ query: { query: '{ note { id } }' } }),
          })
          expect(explained.status).toBe(404)
        }
      } finally {
        await office.close()
      }
    },
  )
})
