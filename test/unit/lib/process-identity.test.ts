import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'

import { ownProcessIdentity, readProcessStat } from '../../../src/lib/process-identity.ts'

it.runIf(process.platform === 'linux')('tells a process from one that has its number later', async () => {
  const own = await ownProcessIdentity()
  expect(own).toMatchObject({ pid: process.pid, bootId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string })
  expect((await readProcessStat(process.pid))?.startTime).toBe(own.startTime)
})

it.runIf(process.platform === 'linux')('reads past a program’s name, however it is spelt', async () => {
  const script = 'process.title = "a) R 1 (b"; console.log(); setInterval(() => {}, 1000)'
  const child = spawn(process.execPath, ['-e', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  expect(await readProcessStat(child.pid!)).toMatchObject({ group: child.pid })
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await readProcessStat(child.pid!)).toBeUndefined()
})
