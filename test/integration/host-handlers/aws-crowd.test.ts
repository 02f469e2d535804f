import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it, vi } from 'vitest'

import { createHandler } from '../../../host-handlers/aws/handler.ts'
import { aHandlerContext } from '../../support/a-handler-context.ts'

const program = fileURLToPath(new URL('../../support/instance-crowd-program.ts', import.meta.url))

it('reads 10,000 instances page by page, and asks for a page only once the one before was taken', async () => {
  const child = spawn(process.execPath, [program, '10000'], { stdio: ['pipe', 'pipe', 'inherit'] })
  try {
    const pages: number[] = []
    const lines = createInterface({ input: child.stdout })
    const [port] = (await once(lines, 'line')) as [string]
    lines.on('line', (line) => pages.push(Number(line)))
    const handler = createHandler(
      aHandlerContext({
        options: { endpoint: `http://127.0.0.1:${port}`, page_size: 200 },
        environment: { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' },
      }),
    )
    const seen = new Set<string>()
    for await (const { cloudId, launchId } of handler.list('aws/us-east-1', new AbortController().signal)) {
      if (seen.size === 100) expect(pages.length).toBeLessThanOrEqual(1)
      seen.add(`${launchId} ${cloudId}`)
    }
    expect(seen.size).toBe(10_000)
    await vi.waitFor(() => expect(pages).toEqual(Array.from({ length: 50 }, () => 200)))
  } finally {
    child.stdin.end()
    await once(child, 'exit')
  }
})
