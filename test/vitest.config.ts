import { defineConfig } from 'vitest/config'

const root = new URL('..', import.meta.url).pathname
const tests = { root, testTimeout: 60_000, hookTimeout: 60_000 }

export default defineConfig({
  test: {
    root,
    // Two cores: real PostgreSQL servers and host processes share them with the tests.
    maxWorkers: 2,
    reporters: ['default'],
    projects: [
      { test: { ...tests, name: 'pure', include: ['test/{unit,simulation}/**/*.test.ts'] } },
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
