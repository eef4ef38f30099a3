/**
 * The stack behind the browser tests, one for all tests of a worker.
 *
 *     import { expect, test } from './stack-fixture.ts'
 *     test('…', async ({ page, stack }) => { await page.goto(stack.address) })
 */
import { test as base } from '@playwright/test'
import { TestStack } from './test-stack.ts'

export { expect } from '@playwright/test'
export type { TestStack } from './test-stack.ts'

export const test = base.extend<Record<never, never>, { stack: TestStack }>({
  stack: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of needed fixtures from the pattern
    async ({}, use) => {
      const stack = new TestStack()
      await stack.start()
      await use(stack)
      await stack.end()
    },
    { scope: 'worker', timeout: 120_000 },
  ],
  // As after the first visit: the browser has the cookie.
  context: async ({ context, stack }, use) => {
    await context.addCookies([await stack.cookie()])
    await use(context)
  },
})
