/** The list that the sweep takes of EC2: 10,000 instances, from an API server in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { createHandler } from '../host-handlers/aws/handler.ts'
import { aHandlerContext } from '../test/support/a-handler-context.ts'
import type { Benchmark } from './support/benchmark.ts'

const program = fileURLToPath(new URL('../test/support/instance-crowd-program.ts', import.meta.url))
const instances = 10_000
const { signal } = new AbortController()

export const listing: Benchmark = {
  name: 'listing',
  about:
    '10,000 EC2 instances listed in pages as the provider takes them, against pages as large as EC2 gives',
  run: async () => {
    const crowd = spawn(process.execPath, [program, String(instances)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    try {
      const lines = createInterface({ input: crowd.stdout })
      const [port] = (await once(lines, 'line')) as [string]
      const endpoint = `http://127.0.0.1:${port}`
      // Loading the SDK and compiling its parser is no page's doing.
      await listed({ endpoint, page_size: 200 })
      const small = await listed({ endpoint })
      const large = await listed({ endpoint, page_size: 1000 })
      const against = 'pages of 1,000'
      return [
        {
          what: 'longest hold of the event loop, CPU time',
          unit: 'ms',
          measured: small.longestMs,
          baseline: large.longestMs,
          against,
          aim: { of: 'measured', most: 50 },
        },
        {
          what: 'memory over idle',
          unit: 'MB',
          measured: small.extraMb,
          baseline: large.extraMb,
          against,
          aim: { of: 'measured', most: 200 },
        },
      ]
    } finally {
      crowd.stdin.end()
      await once(crowd, 'exit')
    }
  },
}

async function listed(options: Readonly<Record<string, unknown>>) {
  const environment = { AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench' }
  const handler = createHandler(aHandlerContext({ options, environment }))
  const idle = process.memoryUsage.rss()
  const hold = longestHold()
  let count = 0
  let most = idle
  for await (const _ of handler.list('aws/us-east-1', signal)) {
    count += 1
    if (count % 50 === 0) most = Math.max(most, process.memoryUsage.rss())
  }
  const longestMs = hold.stop()
  if (count !== instances) throw new Error(`${count} instances were listed, not ${instances}`)
  return { longestMs, extraMb: (most - idle) / 1e6 }
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
