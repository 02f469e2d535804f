/** Callers of one request again and again: as GraphQL over HTTP, and as the SQL that the endpoint makes of it, bare. */
import pg from 'pg'

import { crowd } from '../support/callers.ts'
import { serve } from '../support/programs.ts'
import type { RawConnection } from '../support/raw-http.ts'
import { connectRaw } from '../support/raw-http.ts'

export interface ConnectInput {
  readonly endpointUrl: string
  /** Answers whatever it is asked with a constant. */
  readonly constantUrl: string
  readonly adminSecret: string
  readonly databaseUrl: string
  readonly callers: number
}
/** Each caller asks for a row of its own: `keys`, one for each. */
export interface HttpInput {
  readonly callers: number
  readonly calls: number
  readonly query: string
  readonly keys: readonly string[]
}
export interface SqlInput extends Omit<HttpInput, 'query'> {
  readonly sql: string
  /** Before the key. */
  readonly parameters: readonly string[]
}

const connections: RawConnection[] = []
const constants: RawConnection[] = []
const clients: pg.Client[] = []

serve({
  connect: async ({ endpointUrl, constantUrl, adminSecret, databaseUrl, callers }: ConnectInput) => {
    for (let caller = 0; caller < callers; caller += 1) {
      const headers = { 'x-hasura-admin-secret': adminSecret }
      connections.push(await connectRaw(endpointUrl, headers))
      constants.push(await connectRaw(constantUrl, headers))
      const client = new pg.Client({ connectionString: databaseUrl })
      await client.connect()
      clients.push(client)
    }
  },
  http: ({ callers, calls, query, keys }: HttpInput) => {
    const bodies = keys.map((id) => JSON.stringify({ query, variables: { id } }))
    return crowd(callers, calls, async (_number, caller) => {
      const answer = await connections[caller]!.post(bodies[caller]!)
      if (!answer.includes(keys[caller]!)) throw new Error(`a request was answered: ${answer}`)
    })
  },
  constant: ({ callers, calls, query, keys }: HttpInput) => {
    const bodies = keys.map((id) => JSON.stringify({ query, variables: { id } }))
    return crowd(callers, calls, async (_number, caller) => {
      await constants[caller]!.post(bodies[caller]!)
    })
  },
  sql: ({ callers, calls, sql, parameters, keys }: SqlInput) =>
    crowd(callers, calls, async (_number, caller) => {
      const key = keys[caller]!
      const { rows } = await clients[caller]!.query<[string]>({
        name: sql.slice(0, 20),
        text: sql,
        values: [...parameters, key],
        rowMode: 'array',
      })
      if (rows[0]?.[0].includes(key) !== true) throw new Error('a bare statement found nothing')
    }),
})
