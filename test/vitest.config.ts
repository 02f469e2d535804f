import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two cores: real PostgreSQL servers and host processes share them with the tests.
    maxWorkers: 2,
    reporters: ['default'],
  },
})
