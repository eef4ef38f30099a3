import { drawnSteps, expectCurve, launchRuns, untilSettled } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

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
  expect(await drawnSteps(page)).toEqual(everyFifth)

  const plot = chart.locator('.u-over')
  const { x, y, width, height } = (await plot.boundingBox())!
  // Steps 27 to 30 or so, with what stands beside them.
  await page.mouse.move(x + 0.42 * width, y + height / 2)
  await page.mouse.down()
  await page.mouse.move(x + 0.47 * width, y + height / 2 + 2, { steps: 5 })
  await page.mouse.move(x + 0.5 * width, y + height / 2 + 2, { steps: 5 })
  await page.mouse.up()
  await expect(chart).toContainText(/(\d+) of \1 points in view/)
  // In view singly, joined by fives around it.
  const steps = await drawnSteps(page)
  const single = steps.filter((step) => step % 5 !== 0)
  expect(single.length).toBeGreaterThan(4)
  expect(single.every((step) => step > 20 && step < 40)).toBe(true)

  await plot.dblclick()
  await expect(chart).toContainText('12 of 60 points')
  expect(await drawnSteps(page)).toEqual(everyFifth)
})
