import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RunConfigInput, runConfigSchema } from '@rankscope/protocol'
import { offeredModel, untilSettled } from './runs.ts'
import { expect, type TestStack, test } from './stack-fixture.ts'

/** A run of three steps that has ended. */
async function finishedRun(stack: TestStack, method: RunConfigInput['method']): Promise<string> {
  const config = runConfigSchema.parse({
    model: { path: await offeredModel(stack) },
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method,
    training: { globalBatchSize: 4, microBatchSize: 4, maxSteps: 3 },
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
  })
  const [run] = await stack.api.createRuns([config])
  expect((await untilSettled(stack, run!.runId)).state).toBe('finished')
  return run!.runId
}

test('a finished run is exported from its page: what is lost is said before, and files come with progress', async ({
  page,
  stack,
}) => {
  // Four processes that each load a model, beside whatever else the machine does.
  test.setTimeout(240_000)
  const runId = await finishedRun(stack, { name: 'dora', rank: 2 })
  await page.goto(`${stack.address}/runs/${runId}?tab=files`)
  const panel = page.getByRole('region', { name: 'Export' })
  await expect(panel.getByLabel('Checkpoint')).toHaveValue('step 3 (newest)')

  await panel.getByRole('button', { name: 'What would be lost?' }).click()
  const outlook = panel.getByTestId('export-outlook')
  await expect(outlook).toContainText(/a save in bfloat16 keeps [\d.]+ %/, { timeout: 60_000 })
  await expect(outlook.getByRole('row')).not.toHaveCount(1)

  const choose = async (label: string, option: string | RegExp) => {
    await panel.getByLabel(label, { exact: true }).click()
    await page.getByRole('option', { name: option }).click()
  }
  const newest = panel.getByTestId('export-job').first()
  const exported = async (title: string | RegExp): Promise<string> => {
    await panel.getByRole('button', { name: 'Export', exact: true }).click()
    await expect(newest).toContainText(title)
    await expect(newest).toContainText('finished', { timeout: 60_000 })
    return (await newest.getByTestId('export-path').textContent())!
  }
  await choose('Stored as', 'bfloat16')
  const model = await exported('Model, bfloat16, step 3')
  expect(JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')).torch_dtype).toBe('bfloat16')
  await choose('As', /PEFT adapter/)
  const adapter = await exported('Adapter, step 3')
  const config = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8'))
  expect(config).toMatchObject({ use_dora: true, r: 2 })
  expect(existsSync(config.base_model_name_or_path)).toBe(true)
  await choose('As', /truncated SVD/)
  await panel.getByLabel('Rank', { exact: true }).fill('8')
  await exported('LoRA of rank 8')
  await expect(newest).toContainText('of ‖ΔW‖_F is left out')

  // Told of as every file of the run is, and still there after a reload.
  await page.reload()
  const files = page.getByRole('table').last()
  for (const path of [model, adapter]) await expect(files).toContainText(path)
})

test('an export is cancelled, and one that cannot be has its code; neither leaves anything', async ({
  page,
  stack,
}) => {
  const runId = await finishedRun(stack, { name: 'lora', rank: 2 })
  const address = `${stack.address}/api/runs/${runId}/exports`
  const headers = { ...stack.headers, 'content-type': 'application/json' }
  const ask = (body: object) => fetch(address, { method: 'POST', headers, body: JSON.stringify(body) })

  const refused = await ask({ request: { as: 'delta' }, checkpoint: '/etc' })
  expect(await refused.json()).toMatchObject({ code: 'CHECKPOINT_BROKEN' })
  expect((await ask({ request: { as: 'lora' } })).status).toBe(400)

  // The second waits for the first: both can be ended, the one that works and the one that waits.
  for (const request of [{ as: 'outlook' }, { as: 'model' }])
    expect((await ask({ request })).status).toBe(201)
  await page.goto(`${stack.address}/runs/${runId}?tab=files`)
  const jobs = page.getByRole('region', { name: 'Export' }).getByTestId('export-job')
  await page.getByRole('button', { name: 'Cancel Model, float32' }).click()
  await expect(jobs.first()).toContainText('cancelled')
  const known = (await (await fetch(address, { headers })).json()) as { jobs: { path: string | null }[] }
  expect(known.jobs[0]).toMatchObject({ state: 'cancelled', path: null })
})
