/** A sweep from the browser: launched with a handful of inputs, watched, held, extended; its page is right at every moment. */
import { readFile } from 'node:fs/promises'
import type { Page } from '@playwright/test'
import { isSettled, methodLabels, type RunView, sweepViewSchema } from '@rankscope/protocol'
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

test('three methods, five rates and two seeds are launched as one sweep, and its page is right to the end', async ({
  page,
  stack,
}) => {
  test.setTimeout(600_000)
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
  const progress = page.getByTestId('sweep-progress')
  await expect(progress).toContainText('30 runs')
  await expect(page.getByTestId('sweep-runs').getByRole('row')).toHaveCount(31)
  const sweepId = new URL(page.url()).pathname.split('/').at(-1)!

  // Held: nothing waits any more, and what trains stops training.
  await page.getByRole('button', { name: 'Pause' }).click()
  await expect(page.getByTestId('sweep-state')).toHaveText('paused')
  await expect(progress).not.toContainText('waiting')
  await page.getByRole('button', { name: 'Resume' }).click()
  await expect(page.getByTestId('sweep-state')).toHaveText('active')

  const members = async () => {
    const answer = await fetch(new URL(`/api/sweeps/${sweepId}`, stack.address), { headers: stack.headers })
    const ids = new Set(sweepViewSchema.parse(await answer.json()).runs.map(({ runId }) => runId))
    return (await stack.api.runs()).filter(({ runId }) => ids.has(runId))
  }
  const finished = (runs: readonly RunView[]) => runs.filter(({ state }) => state === 'finished').length
  // At every moment the page has all thirty, says no less than it said, and nothing that is not so.
  let told = 0
  while (told < 30) {
    await expect
      .poll(async () => countsOf((await progress.textContent()) ?? '')['finished'] ?? 0, { timeout: 300_000 })
      .toBeGreaterThan(told)
    const counts = countsOf((await progress.textContent()) ?? '')
    expect(counts['finished']!).toBeGreaterThan(told)
    expect(counts['failed'] ?? 0).toBe(0)
    expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(30)
    told = counts['finished']!
    expect(finished(await members())).toBeGreaterThanOrEqual(told)
  }
  await expect(page.getByTestId('sweep-state')).toHaveText('finished')

  // Best settings as a person would work them out from the runs.
  const best = page.getByTestId('best-settings')
  for (const [method, row] of bestByHand(await members())) {
    const cells = best.getByRole('row', { name: row.label })
    await expect(cells, method).toContainText(row.rate)
    await expect(cells, method).toContainText(row.test)
  }
  await expect(
    page.getByRole('region', { name: /over learningRate/ }).locator('.scatterlayer .points path'),
  ).toHaveCount(30 + 3)
  await expect(page.getByTestId('heat-map')).toContainText('1e-5')

  // The saved table says what the page says.
  await page.getByRole('button', { name: 'Save table' }).click()
  const waiting = page.waitForEvent('download')
  await page.getByRole('menuitem', { name: 'LaTeX (booktabs)' }).click()
  expect(await readFile(await (await waiting).path(), 'utf8')).toMatch(/\\toprule[\s\S]*LoRA/)

  // As a zip it goes elsewhere, and comes in again with the same results.
  await page.getByRole('button', { name: 'More for this sweep' }).click()
  const zip = page.waitForEvent('download')
  await page.getByRole('menuitem', { name: 'Save everything as a zip' }).click()
  const file = await (await zip).path()
  const table = await best.textContent()
  await page.goto(`${new URL(stack.address).origin}/sweeps`)
  await expect(page.getByTestId('sweeps').locator(`a[href$="${sweepId}"]`)).toBeVisible()
  await page.locator('input[type=file]').setInputFiles(file)
  await expect(page).toHaveURL(/\/sweeps\/[^/?]+/)
  expect(new URL(page.url()).pathname.split('/').at(-1)).not.toBe(sweepId)
  // The address changes before the list has given way to the page.
  await expect(page.getByTestId('sweep-runs').getByRole('row')).toHaveCount(31)
  await expect(progress).toContainText('30 runs: 30 finished')
  expect(await best.textContent()).toBe(table)
})

test('a sweep takes further values, and is stopped as a whole', async ({ page, stack }) => {
  await openLaunch(page, stack.address, await offeredModel(stack))
  await page.getByRole('button', { name: 'Vary a setting' }).click()
  await page.getByLabel('Values of setting 1').fill('1e-5, 1e-4')
  await page.getByTestId('launch').click()
  await expect(page.getByTestId('sweep-progress')).toContainText('6 runs')
  // A further rate brings its runs, and no other.
  await page.getByRole('button', { name: 'Add values' }).click()
  await page.getByLabel('optimizer.learningRate').fill('1e-5, 2e-3')
  await page.getByRole('button', { name: 'Launch 3 more runs' }).click()
  await expect(page.getByTestId('sweep-progress')).toContainText('9 runs')
  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await expect(page.getByTestId('sweep-state')).toHaveText('stopped')
  await expect.poll(async () => (await stack.api.runs()).every(({ state }) => isSettled(state))).toBe(true)
})

/** `30 runs: 4 finished, 2 running` by what they are. */
function countsOf(text: string): Record<string, number> {
  const [, words = ''] = text.split('runs: ')
  return Object.fromEntries(
    words.split(', ').map((part) => {
      const [count, ...what] = part.trim().split(' ')
      return [what.join(' '), Number(count)]
    }),
  )
}

/** For each method the first of its rates with the highest mean accuracy over its seeds, by plain loops. */
function bestByHand(runs: readonly RunView[]) {
  const rows = new Map<string, { label: RegExp; rate: string; test: string }>()
  for (const method of new Set(runs.map(({ config }) => config.method.name))) {
    let [top, bestRate] = [-1, Number.NaN]
    const rates = [...new Set(runs.map(({ config }) => config.optimizer.learningRate))].sort(
      (one, other) => one - other,
    )
    for (const rate of rates) {
      const scores = runs
        .filter(({ config }) => config.method.name === method && config.optimizer.learningRate === rate)
        .map(({ summary }) => summary!['accuracy'] as number)
      expect(scores).toHaveLength(2)
      const mean = (scores[0]! + scores[1]!) / 2
      if (mean > top) [top, bestRate] = [mean, rate]
    }
    const rate = bestRate < 1e-3 ? bestRate.toExponential() : String(bestRate)
    rows.set(method, { label: new RegExp(`^${methodLabels[method]}`), rate, test: (100 * top).toFixed(1) })
  }
  return rows
}

test('what cannot be read is said at its row, and nothing can be launched', async ({ page, stack }) => {
  await openLaunch(page, stack.address, await offeredModel(stack))
  await page.getByRole('button', { name: 'Vary a setting' }).click()
  await page.getByLabel('Values of setting 1').fill('1e-5…')
  await expect(page.getByTestId('launch')).toBeDisabled()
  await page.getByLabel('Values of setting 1').fill('5…1')
  await expect(page.getByText('the range ends before it begins').first()).toBeVisible()
  await expect(page.getByTestId('launch')).toBeDisabled()
})
