import { defineConfig } from 'vitest/config'

/** Unit and integration tests: each file lies beside the source it checks. The browser tests are in e2e/. */
export default defineConfig({
  test: {
    include: [
      '{protocol,experiments,launch,gpu-node,server,bench,scripts,e2e}/**/*.test.ts',
      'apps/*/src/**/*.test.{ts,tsx}',
    ],
    exclude: ['**/node_modules/**', '**/dist/**'],
    // A rejection that nobody handles is a failure, also outside of a test.
    dangerouslyIgnoreUnhandledErrors: false,
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
