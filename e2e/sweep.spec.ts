/** A sweep from the browser: launched with a handful of inputs, watched, held, extended; its page is right at every moment. */
import { readFile } from 'node:fs/promises'
import type { Page } from '@playwright/test'
import { isSettled } from '@rankscope/protocol'
import { offeredModel } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

/** One step of the smallest kind of run: what is tested is the sweep. */
const tiny = {
  'training.maxSteps': 1,
  'training.globalBatchSize': 16,
  'data.source.trainExamples': 32,
  'data.source.evaluationExamples': 2,
  'evaluation.everySteps': null,
  'evaluation.atStart': false,
  'evaluation.examples': 2,
  'evaluation.maxNewTokens': 2,
  'evaluation.samples': 0,
  'spectra.everySteps': null,
}

async function openLaunch(page: Page, address: string, model: string): Promise<void> {
  const settings = encodeURIComponent(JSON.stringify({ ...tiny, 'model.path': model }))
  const url = new URL(address)
  await page.goto(`${url.origin}/launch${url.search === '' ? '?' : `${url.search}&`}set=${settings}`)
}

test('three methods, five rates and two seeds are launched as one sweep, and its page follows them', async ({
  page,
  stack,
}) => {
  test.setTimeout(240_000)
  await openLaunch(page, stack.address, await offeredModel(stack))
  await page.getByRole('button', { name: 'Vary a setting' }).click()
  await page.getByLabel('Values of setting 1').fill('1e-5…1e-3 log 5')
  await expect(page.getByText('5 values')).toBeVisible()
  // A second seed beside the one that is there.
  await page.getByRole('combobox', { name: 'Seeds' }).fill('1')
  await page.keyboard.press('Enter')
  await expect(page.getByTestId('launch')).toHaveText('Launch 30 runs')
  await page.getByTestId('launch').click()

  await expect(page).toHaveURL(/\/sweeps\/[^/?]+/)
  await expect(page.getByTestId('sweep-progress')).toContainText('30 runs')
  await expect(page.getByTestId('sweep-runs').getByRole('row')).toHaveCount(31)
  const sweepId = new URL(page.url()).pathname.split('/').at(-1)!

  // Held: nothing waits any more, and what trains stops training.
  await page.getByRole('button', { name: 'Pause' }).click()
  await expect(page.getByTestId('sweep-state')).toHaveText('paused')
  await expect(page.getByTestId('sweep-progress')).not.toContainText('waiting')
  await page.getByRole('button', { name: 'Resume' }).click()
  await expect(page.getByTestId('sweep-state')).toHaveText('active')

  await expect(page.getByTestId('sweep-progress')).toContainText(/[1-9]\d* finished/, { timeout: 120_000 })
  const best = page.getByTestId('best-settings')
  await expect(best).toContainText('LoRA')
  await expect(
    page
      .getByRole('region', { name: /over learningRate/ })
      .locator('.scatterlayer .points path')
      .first(),
  ).toBeVisible()
  await expect(page.getByTestId('heat-map')).toContainText('1e-5')

  // The saved table says what the page says.
  await page.getByRole('button', { name: 'Save table' }).click()
  const waiting = page.waitForEvent('download')
  await page.getByRole('menuitem', { name: 'LaTeX (booktabs)' }).click()
  expect(await readFile(await (await waiting).path(), 'utf8')).toMatch(/\\toprule[\s\S]*LoRA/)

  // A further rate brings its runs, and no other.
  await page.getByRole('button', { name: 'Add values' }).click()
  await page.getByLabel('optimizer.learningRate').fill('1e-5, 2e-3')
  await page.getByRole('button', { name: 'Launch 6 more runs' }).click()
  await expect(page.getByTestId('sweep-progress')).toContainText('36 runs')
  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await expect(page.getByTestId('sweep-state')).toHaveText('stopped')
  await expect.poll(async () => (await stack.api.runs()).every(({ state }) => isSettled(state))).toBe(true)

  await page.goto(`${new URL(stack.address).origin}/sweeps`)
  await expect(page.getByTestId('sweeps').locator(`a[href$="${sweepId}"]`)).toBeVisible()
})

test('what cannot be read is said at its row, and nothing can be launched', async ({ page, stack }) => {
  await openLaunch(page, stack.address, await offeredModel(stack))
  await page.getByRole('button', { name: 'Vary a setting' }).click()
  await page.getByLabel('Values of setting 1').fill('1e-5…')
  await expect(page.getByTestId('launch')).toBeDisabled()
  await page.getByLabel('Values of setting 1').fill('5…1')
  await expect(page.getByText('the range ends before it begins').first()).toBeVisible()
  await expect(page.getByTestId('launch')).toBeDisabled()
})
