/**
 * The baseline of the latency: LISTEN, one read by key, one transaction that inserts what a turn stores, and the moment
 * at which an executor could be called. Plain `pg`, nothing of Muster.
 */
import pg from 'pg'

import { bareChannel } from '../support/bare-listen.ts'
import { serve } from '../support/programs.ts'
import { machineMs } from '../support/statistics.ts'

const insert = `
with decision as (insert into bare.decisions (id, region_id, reason) values ($1, $2, $3)),
  host as (insert into bare.hosts (id, region_id) values ($1, $2))
insert into bare.actions (id, region_id, params) values ($1, $2, $4)`

let executed: (at: number) => void = () => undefined

serve({
  start: async (url: string) => {
    const listening = new pg.Client({ connectionString: url })
    const writing = new pg.Client({ connectionString: url })
    await Promise.all([listening.connect(), writing.connect()])
    let turns = 0
    const act = async (regionId: string): Promise<void> => {
      const { rows } = await writing.query<{ target_free_agents: number }>({
        name: 'read',
        text: 'select * from bare.regions where id = $1',
        values: [regionId],
      })
      turns += 1
      const reason = `${rows[0]?.target_free_agents ?? 0} free agents are wanted`
      await writing.query({
        name: 'insert',
        text: insert,
        values: [`${regionId}:${turns}`, regionId, reason, { count: 1 }],
      })
      executed(machineMs())
    }
    listening.on('notification', ({ payload = '' }) => void act(payload))
    await listening.query(`listen ${bareChannel}`)
  },
  /** `machineMs` of the next execution. */
  next: () => new Promise<number>((resolve) => (executed = resolve)),
})
