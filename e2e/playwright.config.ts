/**
 * Browser tests against the real stack: each worker starts a server and a node of its own (stack-fixture.ts). The
 * browser is the system’s Chromium, or the one that RANKSCOPE_CHROMIUM names.
 */
import { defineConfig, devices } from '@playwright/test'
import { findChromium } from '../scripts/chromium.ts'

const chromium = findChromium()

export default defineConfig({
  testDir: '.',
  testMatch: '**/*.spec.ts',
  outputDir: 'results',
  // Training shares the processors with the browser: one worker, patient limits.
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  forbidOnly: process.env['CI'] === 'true',
  reporter: [['list']],
  use: {
    ...devices['Desktop Chrome'],
    viewport: { width: 1440, height: 900 },
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
    launchOptions: {
      ...(chromium === null ? {} : { executablePath: chromium }),
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    },
  },
})
