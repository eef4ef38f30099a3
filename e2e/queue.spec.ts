import type { Page } from '@playwright/test'
import { isSettled } from '@rankscope/protocol'
import { launchRuns, untilStep } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

const namesIn = (page: Page) => page.getByTestId('queued-run').getByRole('link').allTextContents()

test('the queue is seen, reordered, its priorities changed; nodes are drained, paused and opened', async ({
  page,
  stack,
}) => {
  await page.goto(`${stack.address}/nodes`)
  await expect(page.getByRole('region', { name: 'Queue' })).toContainText('Nothing waits, 4 free slots')
  const [running] = await launchRuns(stack, 'holds on', ['lora'], 400)
  await untilStep(stack, running!.runId, 1)
  await page.getByRole('button', { name: 'Drain test-node' }).click()
  await expect(page.getByTestId('node-mode')).toHaveText('draining')
  const waiting = await launchRuns(stack, 'waits', ['lora', 'pissa', 'hd-pissa'], 2)
  const [a, b, c] = waiting.map((run) => run.name) as [string, string, string]
  await expect(page.getByTestId('queued-run')).toHaveCount(3)
  await expect(page.getByTestId('queued-run').first()).toContainText('test-node is draining')
  expect((await stack.api.run(running!.runId)).state).toBe('running')

  // By buttons, by priority, by dragging; every time the server's own order is what is shown.
  const expectOrder = async (...names: string[]) => {
    await expect.poll(() => namesIn(page)).toEqual(names)
    const queued = (await stack.api.runs())
      .filter((run) => run.state === 'queued')
      .sort((left, right) => left.queuePosition! - right.queuePosition!)
    expect(queued.map((run) => run.name)).toEqual(names)
  }
  await expectOrder(a, b, c)
  await page.getByRole('button', { name: `Up: ${c}` }).click()
  await expectOrder(a, c, b)
  await page.getByRole('button', { name: `To the end: ${a}` }).click()
  await expectOrder(c, b, a)
  const priority = page.getByLabel(`Priority of ${a}`)
  await priority.fill('5')
  await priority.press('Enter')
  await expectOrder(a, c, b)
  const rowOf = (name: string) => page.getByTestId('queued-run').filter({ hasText: name })
  await rowOf(b).getByTestId('queue-handle').dragTo(rowOf(a))
  await expectOrder(b, a, c)
  await expect(page.getByLabel(`Priority of ${b}`)).toHaveValue('5')

  // Another page of the run says where it stands, and leads back.
  await page.getByRole('link', { name: c, exact: true }).click()
  await page.getByRole('link', { name: /number 3 in the queue/ }).click()
  await expect(page).toHaveURL(/nodes#queue$/)

  await page.getByRole('button', { name: 'Pause test-node' }).click()
  await expect.poll(async () => (await stack.api.run(running!.runId)).state).toBe('paused')
  await page.getByRole('button', { name: 'Open test-node' }).click()
  await expect(page.getByTestId('node-mode')).toHaveCount(0)
  for (const run of waiting)
    await expect.poll(async () => isSettled((await stack.api.run(run.runId)).state)).toBe(true)
  await stack.api.command(running!.runId, 'stop')
  await expect(page.getByRole('region', { name: 'Queue' })).toContainText('Nothing waits')
})
