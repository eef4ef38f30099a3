import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runConfigSchema } from '@rankscope/protocol'
import { offeredModel, untilSettled } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

test('a run’s checkpoint is evaluated from its page without training, and its wrong items are read', async ({
  page,
  stack,
}) => {
  // Two processes that each load a model, beside whatever else the machine does.
  test.setTimeout(300_000)
  const rows = Array.from({ length: 6 }, (_, i) => ({
    passage: `It is ${i}.`,
    question: `is it ${i}`,
    answer: i % 2 === 0,
  }))
  writeFileSync(join(stack.dataFolder, 'boolq.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))
  const config = runConfigSchema.parse({
    model: { path: await offeredModel(stack) },
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method: { name: 'lora', rank: 2 },
    training: { globalBatchSize: 4, microBatchSize: 4, maxSteps: 3 },
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
  })
  const [trained] = await stack.api.createRuns([config])
  expect((await untilSettled(stack, trained!.runId, 120_000)).state).toBe('finished')

  await page.goto(`${stack.address}/runs/${trained!.runId}`)
  await page.getByRole('link', { name: 'Evaluate …' }).click()
  await page.getByRole('combobox', { name: 'Checkpoint or export' }).click()
  await page.getByRole('option', { name: 'checkpoint of step 3' }).click()
  const evaluate = page.getByRole('button', { name: 'Evaluate', exact: true })
  await expect(evaluate).toBeDisabled()
  await expect(page.getByText('there is nothing to evaluate by').last()).toBeVisible()

  const form = page.getByRole('region', { name: 'How it is scored' })
  await form.getByRole('button', { name: 'Add' }).click()
  await form.getByRole('combobox', { name: 'Benchmark' }).click()
  await page.getByRole('option', { name: 'boolq' }).click()
  await form.getByLabel('File', { exact: true }).fill('boolq.jsonl')
  await form.getByText('lm-eval', { exact: true }).click()
  await evaluate.click()

  await expect(page).toHaveURL(/\/runs\/(?!new)[^/?]+$/)
  const runId = page.url().split('/').at(-1)!
  const { state, config: job, summary, error } = await untilSettled(stack, runId, 120_000)
  expect(error).toBeNull()
  expect(state).toBe('finished')
  expect(job.job).toMatchObject({ kind: 'evaluation', of: { runId: trained!.runId, what: 'checkpoint' } })
  await expect(page.getByTestId('scores').getByRole('row').nth(1)).toContainText(
    /BoolQ \(lm-eval\).*lm-eval 1 \(boolq 2\.0/,
  )
  await expect(page.getByTestId('item')).toHaveCount(6)
  await expect(page.getByTestId('item').first()).toContainText('It is 0.\nQuestion: is it 0?\nAnswer:')
  await page.getByText('Wrong', { exact: true }).click()
  const wrong = Math.round(6 * (1 - Number(summary!['accuracy'])))
  await expect(page.getByTestId('item')).toHaveCount(wrong)
  await expect(page.getByRole('status').filter({ hasText: `${wrong} of 6` })).toBeVisible()
})
