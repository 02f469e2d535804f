/** Claims in plain SQL: one connection for each caller, and a prepared statement. */
import pg from 'pg'

import { crowd } from '../support/callers.ts'
import { serve } from '../support/programs.ts'

export interface SqlCallersInput {
  readonly url: string
  readonly callers: number
}
export interface ClaimsInput {
  readonly regionId: string
  readonly fence: number
  readonly calls: number
  /** So that no user comes twice. */
  readonly users: string
}

const clients: pg.Client[] = []

serve({
  connect: async ({ url, callers }: SqlCallersInput) => {
    for (let caller = 0; caller < callers; caller += 1) {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      clients.push(client)
    }
  },
  claim: ({ regionId, fence, calls, users }: ClaimsInput) =>
    crowd(clients.length, calls, async (number, caller) => {
      const request = {
        user_id: `${users}-${number}`,
        session_id: `${users}-session-${number}`,
        idempotency_key: `${users}-key-${number}`,
        image_id: `${regionId}/image`,
        version: null,
        requested_at: new Date().toISOString(),
        demand_region_id: regionId,
        candidates: [],
        excluded_hosts: [],
      }
      const result = await clients[caller]!.query<{ outcome: string }>({
        name: 'claim',
        text: 'select * from fleet.claim_agent($1, $2, $3)',
        values: [regionId, fence, request],
      })
      const outcome = result.rows[0]?.outcome
      if (outcome !== 'assigned') throw new Error(`a bare claim came to ${outcome ?? 'nothing'}`)
    }),
})
