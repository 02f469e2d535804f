import { existsSync, statfsSync } from 'node:fs'

import { defineConfig } from 'vitest/config'

const root = new URL('..', import.meta.url).pathname
const tests = { root, testTimeout: 60_000, hookTimeout: 60_000 }

// Databases are made by the hundred, and no test pulls the machine's own plug: in memory, where there is room.
const memory = '/dev/shm'
const enough = 4 * 1024 ** 3
if (existsSync(memory)) {
  const { bavail, bsize } = statfsSync(memory)
  if (bavail * bsize > enough) process.env['TMPDIR'] ??= memory
}

export default defineConfig({
  test: {
    root,
    // Two cores: real PostgreSQL servers and host processes share them with the tests.
    maxWorkers: 2,
    reporters: ['default'],
    projects: [
      // What is pure needs no process of its own: modules are loaded once for all files.
      { test: { ...tests, name: 'pure', isolate: false, include: ['test/{unit,simulation}/**/*.test.ts'] } },
      {
        test: {
          ...tests,
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
        },
      },
    ],
  },
})
