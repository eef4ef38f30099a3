import { comparison, comparisonBase, methodConfigSchema } from '@rankscope/protocol'
import { chartRows, expectCurve, offeredModel, untilSettled } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

test('a run with attribution shows its parts overlaid, who holds the tail, and tail ratios', async ({
  page,
  stack,
}) => {
  const [config] = comparison('parts', ['hd-pissa'], {
    ...comparisonBase,
    model: { path: await offeredModel(stack) },
    training: { ...comparisonBase.training, globalBatchSize: 8, microBatchSize: 2, maxSteps: 8 },
    evaluation: { ...comparisonBase.evaluation, examples: 8 },
    spectra: { ...comparisonBase.spectra, everySteps: 2, atEnd: true },
  })
  const method = methodConfigSchema.parse({ name: 'hd-pissa', rank: 4, attribution: true })
  const [run] = await stack.api.createRuns([{ ...config!, method }])
  await untilSettled(stack, run!.runId)
  await page.goto(`${stack.address}/runs/${run!.runId}`)
  await expectCurve(page, 'Spectrum of ΔW')

  await page.getByRole('radiogroup', { name: 'Part of the update' }).getByText('all', { exact: true }).click()
  await expect(page.getByTestId('parts-legend').getByRole('listitem')).toHaveCount(4)
  const overlaid = new Set((await chartRows(page, 'Spectrum of ΔW')).map(([label]) => label))
  expect(overlaid).toEqual(
    new Set(['ΔW', '1st order', '2nd order', 'rounding'].map((part) => `${run!.name} · ${part}`)),
  )

  const table = page.getByTestId('parts-table')
  await expect(table.getByRole('row')).toHaveCount(6)
  // Shares near the ends are told as bounds: > 99.9 %, < 0.1 %.
  const share = async (part: string) =>
    Number.parseFloat(
      (await table.getByRole('row', { name: part }).getByRole('cell').nth(5).textContent())!.replace(
        /^[<>] /,
        '',
      ),
    )
  await expect.poll(async () => (await share('2nd order')) + (await share('rounding'))).toBeCloseTo(100, 0)
  await expect(table).toContainText(/Noise floor .+ expected, .+ measured/)

  await page.getByRole('combobox', { name: 'Rank measure' }).click()
  await page.getByRole('option', { name: 'Tail ratio at 2Kr' }).click()
  await expectCurve(page, 'Tail ratio at 2Kr of ΔW')
  const ratios = (await chartRows(page, 'Tail ratio at 2Kr of ΔW')).map((row) => Number(row[2]))
  for (const ratio of ratios) expect(ratio).toBeGreaterThan(0)
  for (const ratio of ratios) expect(ratio).toBeLessThan(0.1)

  await page.getByRole('tab', { name: 'Layer map' }).click()
  await expect(page.getByText('near 0 after the cliff of a method of bounded rank')).toBeVisible()
  await expect(page.getByRole('columnheader', { name: 'q_proj' })).toBeVisible()

  await page.goto(`${stack.address}/compare?runs=${run!.runId}&tab=summary`)
  await expect(
    page.getByTestId('summary-table').getByRole('columnheader', { name: 'Tail ratio' }),
  ).toBeVisible()
})
