/**
 * The sweep of EC2: 10,000 instances from an API server in a process of its own, listed in pages, compared with as many
 * rows of a real database, which the endpoint in this process reads as it does in a daemon.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { createHandler } from '../host-handlers/aws/handler.ts'
import { startEmbedded } from '../src/embedded/endpoint.ts'
import { createHasuraClient } from '../src/hasura/client.ts'
import { createHasuraStore } from '../src/hasura/hasura-store.ts'
import { systemClock } from '../src/lib/clock.ts'
import { silentLogger } from '../src/lib/logger.ts'
import { Sweep } from '../src/reconcile/sweep.ts'
import { Mirror } from '../src/store/mirror.ts'
import { aHandlerContext } from '../test/support/a-handler-context.ts'
import type { Benchmark } from './support/benchmark.ts'
import type { BenchDatabase } from './support/database.ts'
import { createBenchDatabase } from './support/database.ts'
import { seedFleet } from './support/fleets.ts'

const program = fileURLToPath(new URL('../test/support/instance-crowd-program.ts', import.meta.url))
const projectDir = fileURLToPath(new URL('../config/hasura', import.meta.url))
const instances = 10_000
const regionId = 'aws/us-east-1'
const adminSecret = 'of the benchmark'
const { signal } = new AbortController()
const dayMs = 86_400_000

export const listing: Benchmark = {
  name: 'listing',
  about:
    'the sweep of 10,000 EC2 instances: listed in pages as the provider takes them (against pages as large as EC2 gives), and compared with as many rows',
  run: async ({ clusterUrl, progress }) => {
    const database = await createBenchDatabase(clusterUrl)
    const crowd = spawn(process.execPath, [program, String(instances)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    try {
      const lines = createInterface({ input: crowd.stdout })
      const [port] = (await once(lines, 'line')) as [string]
      const endpoint = `http://127.0.0.1:${port}`
      // Loading the SDK and compiling its parser is no page's doing.
      await listed({ endpoint })
      // Before whatever needs more: memory that a process has had once is not seen to grow again.
      progress('the whole sweep')
      const { agreeing, strange } = await swept(database, { endpoint })
      const small = await listed({ endpoint })
      const large = await listed({ endpoint, page_size: 1000 })
      const against = 'pages of 1,000'
      return [
        {
          ...{ what: 'list: longest hold of the event loop, CPU time', unit: 'ms' },
          ...{ measured: small.longestMs, baseline: large.longestMs, against },
          aim: { of: 'measured', most: 50 },
        },
        {
          ...{ what: 'list: memory over idle', unit: 'MB' },
          ...{ measured: small.extraMb, baseline: large.extraMb, against },
          aim: { of: 'measured', most: 200 },
        },
        {
          ...{ what: 'sweep, all agree: longest hold', unit: 'ms', measured: agreeing.longestMs },
          ...{ baseline: small.longestMs, against: 'the list alone', aim: { of: 'measured', most: 50 } },
        },
        {
          ...{ what: 'sweep, all agree: memory over idle', unit: 'MB', measured: agreeing.extraMb },
          ...{ baseline: small.extraMb, against: 'the list alone', aim: { of: 'measured', most: 200 } },
        },
        {
          ...{ what: 'sweep, no machine has a row: longest hold', unit: 'ms', measured: strange.longestMs },
          ...{ baseline: small.longestMs, against: 'the list alone', aim: { of: 'measured', most: 50 } },
        },
        {
          ...{ what: 'sweep, no machine has a row: memory over idle', unit: 'MB', measured: strange.extraMb },
          ...{ baseline: small.extraMb, against: 'the list alone', aim: { of: 'measured', most: 200 } },
        },
      ]
    } finally {
      crowd.stdin.end()
      await once(crowd, 'exit')
      await database.drop()
    }
  },
}

const handlerWith = (options: Readonly<Record<string, unknown>>) => {
  const environment = { AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench' }
  return createHandler(aHandlerContext({ options, environment }))
}

async function listed(options: Readonly<Record<string, unknown>>) {
  const handler = handlerWith(options)
  return measured(async () => {
    let count = 0
    for await (const _ of handler.list(regionId, signal)) count += 1
    if (count !== instances) throw new Error(`${count} instances were listed, not ${instances}`)
  })
}

/** Each twice: the hold is the second one's, when all is compiled, the memory that of both. */
async function swept(database: BenchDatabase, options: Readonly<Record<string, unknown>>) {
  const shape = { hosts: instances, agentsPerHost: 0, targetFreeAgents: 0, minHosts: 0 }
  await seedFleet(database, { regionId, provider: 'aws', ...shape })
  await database.sql(
    `update fleet.hosts h set cloud_id = 'i-' || lpad(to_hex(n.at), 17, '0')
     from (select id, row_number() over (order by id) - 1 as at from fleet.hosts) n where n.id = h.id`,
  )
  const endpoint = await startEmbedded({
    ...{ projectDir, port: 0, adminSecret, logger: silentLogger },
    database: { kind: 'postgres', url: database.url },
  })
  const mirror = new Mirror({
    clock: systemClock,
    lastHeard: () => undefined,
    waitingUsers: () => 0,
  })
  const client = createHasuraClient({ url: endpoint.url, fetch: endpoint.fetch, adminSecret })
  const store = createHasuraStore(client, () => Date.now())
  const handler = handlerWith(options)
  const sweep = new Sweep({
    ...{ store, mirror, clock: systemClock, logger: silentLogger, fleetId: () => 'fleet-1' },
    handlerOf: () => Promise.resolve(handler),
    fence: () => 1,
    isConnected: () => true,
    wake: () => undefined,
    ...{ intervalMs: dayMs, graceMs: 600_000, missingMs: 300_000 },
  })
  try {
    await mirror.rebuild(regionId, () => store.readRegion(regionId))
    mirror.snapshot(regionId)
    sweep.start()
    const look = async (kind: 'agree' | 'strange') => {
      const { failure, machines, findings } = await sweep.look(regionId, { isDry: false })
      const expected = kind === 'agree' ? 0 : instances
      if (failure !== null || machines !== instances || findings.length !== expected) {
        throw new Error(`not such a look: ${failure}, ${machines} machines, ${findings.length} findings`)
      }
    }
    const twice = async (kind: 'agree' | 'strange') => {
      const [first, second] = [await measured(() => look(kind)), await measured(() => look(kind))]
      return { longestMs: second.longestMs, extraMb: Math.max(first.extraMb, first.extraMb + second.extraMb) }
    }
    const agreeing = await twice('agree')
    await database.sql('delete from fleet.hosts')
    return { agreeing, strange: await twice('strange') }
  } finally {
    await sweep.stop()
    await endpoint.stop()
  }
}

async function measured(work: () => Promise<void>) {
  const idle = process.memoryUsage.rss()
  let most = idle
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20)
  const hold = longestHold()
  try {
    await work()
  } finally {
    clearInterval(watch)
  }
  return { longestMs: hold.stop(), extraMb: (Math.max(most, process.memoryUsage.rss()) - idle) / 1e6 }
}

/** In CPU time of this thread, from one turn of the event loop to the next: others on the machine do not count. */
function longestHold() {
  const spent = () => {
    const { user, system } = process.threadCpuUsage()
    return (user + system) / 1000
  }
  let last = spent()
  let longest = 0
  let next: NodeJS.Immediate
  const turn = () => {
    const now = spent()
    longest = Math.max(longest, now - last)
    last = now
    next = setImmediate(turn)
  }
  next = setImmediate(turn)
  return {
    stop: () => {
      clearImmediate(next)
      return longest
    },
  }
}
