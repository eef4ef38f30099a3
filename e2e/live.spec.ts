import { comparisonMethodNames } from '@rankscope/protocol'
import { chartRows, drawnSteps, everyStep, expectCurve, launchRuns, untilSettled, untilStep } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

/** Written by the dashboard (apps/dashboard/src/live/timings.ts). */
type Timing = { emittedMs: number; receivedMs: number; drawnMs: number }

function quantiles(delaysMs: readonly number[]): string {
  const sorted = [...delaysMs].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return `median ${at(0.5)} ms, 95th percentile ${at(0.95)} ms`
}

// Playwright's recorder takes as much of the browser as the dashboard does, and the test below measures that.
test.use({ trace: 'off' })

test('four methods are compared live; what is drawn is what was recorded', async ({ page, stack }, info) => {
  // Four runs share the processors with the browser.
  test.slow()
  const steps = 60
  const runs = await launchRuns(stack, 'four methods', comparisonMethodNames, steps)
  await page.goto(`${stack.address}/compare?runs=${runs.map((run) => run.runId).join(',')}`)
  await untilStep(stack, runs[0]!.runId, 1)
  await expectCurve(page, 'Training loss')
  for (const run of runs) expect((await untilSettled(stack, run.runId)).state).toBe('finished')

  const rows = await chartRows(page, 'Training loss')
  for (const run of runs)
    expect(rows.filter(([name]) => name === run.name).map(([, step]) => Number(step))).toEqual(
      everyStep(steps),
    )
  await expectCurve(page, 'Spectrum of ΔW')
  await page.getByRole('tab', { name: 'Results' }).click()
  await expect(page.getByTestId('summary-table')).toContainText('HD-PiSSA (sum, K = 4)')

  // Reported, not asserted: how long a record took from the trainer to the screen.
  const timings = await page.evaluate<Timing[]>('window.__rankscopeTimings ?? []')
  const description = [
    `${timings.length} records drawn`,
    `trainer to browser: ${quantiles(timings.map((timing) => timing.receivedMs - timing.emittedMs))}`,
    `browser to screen: ${quantiles(timings.map((timing) => timing.drawnMs - timing.receivedMs))}`,
    `in all: ${quantiles(timings.map((timing) => timing.drawnMs - timing.emittedMs))}`,
  ].join('; ')
  info.annotations.push({ type: 'latency', description })
  console.log(description)
})

test('reloading the page in the middle of a run loses nothing', async ({ page, stack }) => {
  const steps = 120
  const [run] = await launchRuns(stack, 'reload', ['lora'], steps)
  await page.goto(`${stack.address}/runs/${run!.runId}`)
  await untilStep(stack, run!.runId, 20)
  await page.reload()
  await expectCurve(page, 'Training loss')
  await untilSettled(stack, run!.runId)
  await expect.poll(() => drawnSteps(page)).toEqual(everyStep(steps))
})

test('restarting the server in the middle of a run loses nothing', async ({ page, stack }) => {
  const steps = 200
  const [run] = await launchRuns(stack, 'restart', ['lora'], steps)
  await page.goto(`${stack.address}/runs/${run!.runId}`)
  await untilStep(stack, run!.runId, 20)
  await stack.stopServer('SIGKILL')
  await expect(page.getByTestId('connection')).toHaveText('Offline')
  await stack.restartServer()
  await expect(page.getByTestId('connection')).toHaveText('Live')
  expect((await untilSettled(stack, run!.runId)).state).toBe('finished')
  await expect.poll(() => drawnSteps(page)).toEqual(everyStep(steps))
})

test('a run is stopped from its page, and offers to be tried again', async ({ page, stack }) => {
  const [run] = await launchRuns(stack, 'stop', ['lora'], 5000)
  await page.goto(`${stack.address}/runs/${run!.runId}`)
  await untilStep(stack, run!.runId, 5)
  await page.getByRole('button', { name: 'Stop' }).click()
  await expect(page.getByTestId('run-state').first()).toHaveText('stopped')
  await expect(page.getByRole('button', { name: 'Retry' })).toBeVisible()

  await page.getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await expect(page).toHaveURL(/\/runs$/)
  await expect(page.getByText(run!.name)).toHaveCount(0)
})
