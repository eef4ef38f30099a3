import type { Page } from '@playwright/test'
import { expectCurve, launchRuns, untilSettled } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

/** Steps of the main curve of the loss chart, as plotly has them. */
const drawnX = (page: Page) =>
  page
    .getByRole('region', { name: 'Training loss' })
    .locator('.js-plotly-plot')
    .evaluate((plot) => [...(plot as unknown as { data: { x: Float64Array }[] }).data.at(-1)!.x])

test('zooming into a chart whose points were joined fetches them singly; a double click shows the whole again', async ({
  page,
  stack,
}) => {
  const [run] = await launchRuns(stack, 'zoom', ['lora'], 60)
  expect((await untilSettled(stack, run!.runId)).state).toBe('finished')
  await page.goto(`${stack.address}/runs/${run!.runId}?points=12`)
  await expectCurve(page, 'Training loss')
  const chart = page.getByRole('region', { name: 'Training loss' })
  await expect(chart).toContainText('12 of 60 points')
  const everyFifth = Array.from({ length: 12 }, (_, index) => 5 * (index + 1))
  expect(await drawnX(page)).toEqual(everyFifth)

  const plot = chart.locator('.nsewdrag').first()
  const { x, y, width, height } = (await plot.boundingBox())!
  // Steps 27 to 30 or so, with what stands beside them.
  await page.mouse.move(x + 0.42 * width, y + height / 2)
  await page.mouse.down()
  await page.mouse.move(x + 0.47 * width, y + height / 2 + 2, { steps: 5 })
  await page.mouse.move(x + 0.5 * width, y + height / 2 + 2, { steps: 5 })
  await page.mouse.up()
  await expect(chart).toContainText(/(\d+) of \1 points in view/)
  const steps = await drawnX(page)
  expect(steps.length).toBeGreaterThan(4)
  expect(steps).toEqual(steps.map((_, index) => steps[0]! + index))

  await plot.dblclick()
  await expect(chart).toContainText('12 of 60 points')
  await expect.poll(() => drawnX(page)).toEqual(everyFifth)
})
