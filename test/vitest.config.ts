import { defineConfig } from 'vitest/config'

import { LongestFirst } from './support/longest-first.ts'
import { useTemporaryFolder } from './support/temporary-folder.ts'

const root = new URL('..', import.meta.url).pathname
const tests = { root, testTimeout: 300_000, hookTimeout: 200_000 }

useTemporaryFolder()

export default defineConfig({
  test: {
    root,
    // Two cores: real PostgreSQL servers and host processes share them with the tests.
    maxWorkers: 2,
    reporters: ['default'],
    sequence: { sequencer: LongestFirst },
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
