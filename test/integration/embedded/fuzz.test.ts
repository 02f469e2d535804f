/** Thousands of documents that mean no good; MUSTER_TEST_FUZZ_RUNS says how many (both databases together), MUSTER_TEST_FUZZ_SEED which. */
import { buildClientSchema, getIntrospectionQuery } from 'graphql'
import type { IntrospectionQuery } from 'graphql'
import { describe, expect, it } from 'vitest'

import type { Answer, DatabaseKind } from '../../support/an-endpoint.ts'
import { anEndpoint, databaseKinds } from '../../support/an-endpoint.ts'
import { hostileRequest } from '../../support/hostile-documents.ts'
import { seed } from './contract/seed.ts'

const allRuns = Number(process.env['MUSTER_TEST_FUZZ_RUNS'] ?? 10_000)
/** PGlite is one session, and slower. */
const runsOn = (kind: DatabaseKind): number =>
  databaseKinds.length === 1 ? allRuns : Math.ceil(allRuns * (kind === 'pglite' ? 0.1 : 0.9))
const firstSeed = Number(process.env['MUSTER_TEST_FUZZ_SEED'] ?? 1)
const perBatch = 20
/** Of a batch, while others run on the same two cores. */
const patienceMs = 20_000
/** What only the inside knows: SQL, names that we make up, files. */
const internal =
  /\bselect\b.*\bfrom\b|\binsert into\b|syntax error at or near|\bt\d+\.|muster_|node_modules|\.ts:\d|\$\d+::|internal error/i

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
        const runs = runsOn(kind)
        let answered = 0
        const surprises: string[] = []
        const batches = Array.from(
          { length: Math.ceil(runs / perBatch) },
          (_, index) => firstSeed + index * perBatch,
        )
        const work = async (): Promise<void> => {
          for (let first = batches.shift(); first !== undefined; first = batches.shift()) {
            const from = first
            const requests = Array.from({ length: perBatch }, (_, index) =>
              hostileRequest(schema, from + index),
            )
            const began = performance.now()
            const texts = JSON.parse(await library.askText(JSON.stringify(requests))) as Answer[]
            expect(performance.now() - began, `seeds from ${from}`).toBeLessThan(patienceMs)
            texts.forEach(({ errors }, index) => {
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
        expect(surprises).toEqual([])
        // Most would be refused if the documents were nonsense: then nothing was tried.
        expect(answered / runs).toBeGreaterThan(0.2)
        expect(await library.ask('{ canary_seen { birds alive } }')).toEqual({
          data: { canary_seen: [{ birds: 1, alive: true }] },
        })
      } finally {
        await library.close()
      }
    },
  )
})
