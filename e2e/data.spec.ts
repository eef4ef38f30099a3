import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { multiTaskMix, multiTaskSetNames } from '@rankscope/protocol'
import { offeredModel, untilSettled } from './runs.ts'
import { expect, type TestStack, test } from './stack-fixture.ts'

/** A small file in the form of each of the eleven sets; the k-th has k + 1 records. */
function writeSets(stack: TestStack): Parameters<typeof multiTaskMix>[0] {
  mkdirSync(join(stack.dataFolder, 'mix'), { recursive: true })
  const record = (name: string, i: number): object => {
    if (name === 'MetaMathQA')
      return { type: 'GSM_AnsAug', query: `What is ${i} + 1?`, response: `The answer is: ${i + 1}` }
    if (name === 'CodeFeedback-Python') return { query: `Write ${i}.`, response: `print(${i})` }
    if (name === 'WizardLM-Evol')
      return {
        idx: i,
        conversations: [
          { from: 'human', value: `Say ${i}` },
          { from: 'gpt', value: `${i}` },
        ],
      }
    return {
      instruction: `Is ${i} even?`,
      input: '',
      output: `the correct answer is ${i % 2 === 0}`,
      answer: `${i % 2 === 0}`,
    }
  }
  const files = multiTaskSetNames.map((name, k) => {
    const records = Array.from({ length: k + 1 }, (_, i) => record(name, i))
    writeFileSync(join(stack.dataFolder, 'mix', `${name}.json`), JSON.stringify(records))
    return [name, join('mix', `${name}.json`)]
  })
  return Object.fromEntries(files)
}

test('the paper’s mix of eleven sets is previewed and launched in the browser, its proportions in the record', async ({
  page,
  stack,
}) => {
  const source = multiTaskMix(writeSets(stack))
  const config = {
    model: { path: await offeredModel(stack) },
    data: { source, template: 'alpaca', maxLength: 128 },
    method: { name: 'lora', rank: 2 },
    training: { globalBatchSize: 4, maxSteps: 2 },
    evaluation: { atEnd: false },
    spectra: { everySteps: null, atEnd: false },
  }
  await page.goto(`${stack.address}/launch?as=json`)
  await page.getByLabel('Configurations as JSON').fill(JSON.stringify(config))
  const preview = page.getByRole('region', { name: 'Data preview' })
  await preview.getByRole('button', { name: 'Preview' }).click()
  await expect(preview.getByTestId('preview-example').first()).toContainText('MetaMathQA')
  await expect(preview.getByTestId('preview-example').nth(1)).toContainText('print(0)')

  await page.getByTestId('launch').click()
  await expect(page).toHaveURL(/\/runs\/[^/]+$/)
  const runId = page.url().split('/').at(-1)!
  expect((await untilSettled(stack, runId)).state).toBe('finished')
  await page.getByRole('tab', { name: 'Data' }).click()
  const rows = page.getByTestId('data-counts').getByRole('row')
  await expect(rows).toHaveCount(12)
  await expect(rows.nth(1)).toContainText(/MetaMathQA.*1 \(1\.5/)
  await expect(rows.nth(11)).toContainText(/OBQA.*11 \(16\.7/)
})

test('sources of a mix are added in the form, and what the model will be trained on is marked', async ({
  page,
  stack,
}) => {
  writeFileSync(join(stack.dataFolder, 'sums.jsonl'), '{"question": "1 + 1?", "answer": "2"}\n')
  await page.goto(`${stack.address}/launch?preset=blank`)
  const data = page.getByRole('region', { name: 'Model and data' })
  await data.getByRole('combobox', { name: 'Source' }).first().click()
  await page.getByRole('option', { name: 'mix', exact: true }).click()
  await data.getByRole('button', { name: 'Add' }).click()
  await data.getByRole('button', { name: 'Add' }).click()
  const second = data.getByTestId('list-entry').nth(1)
  await second.getByRole('combobox', { name: 'Source' }).click()
  await page.getByRole('option', { name: 'records', exact: true }).click()
  await second.getByRole('combobox', { name: 'Training file' }).fill('sums.jsonl')
  await second.getByLabel('Weight').fill('2')
  await expect(page.getByTestId('launch-errors')).toContainText('give every source a weight')
  await data.getByTestId('list-entry').first().getByLabel('Weight').fill('1')

  const preview = page.getByRole('region', { name: 'Data preview' })
  await preview.getByRole('button', { name: 'Preview' }).click()
  const example = preview.getByTestId('preview-example').filter({ hasText: 'sums.jsonl' })
  await expect(example).toContainText('1 + 1?')
  const trained = await example.locator('span[class*="trained"]').allTextContents()
  expect(trained.join('').replaceAll('⏎', '')).toMatch(/^2\n?<\|/)

  await data.getByTestId('list-entry').first().getByRole('button', { name: 'Remove' }).click()
  await expect(data.getByTestId('list-entry')).toHaveCount(1)
})

test('data that cannot be read is told in the preview, with file and line', async ({ page, stack }) => {
  writeFileSync(
    join(stack.dataFolder, 'latin1.jsonl'),
    Buffer.from('{"question": "q", "answer": "caf\xe9"}\n', 'latin1'),
  )
  const config = {
    data: { source: { kind: 'records', path: 'latin1.jsonl' } },
    method: { name: 'lora' },
  }
  await page.goto(`${stack.address}/launch?as=json`)
  await page.getByLabel('Configurations as JSON').fill(JSON.stringify(config))
  const preview = page.getByRole('region', { name: 'Data preview' })
  await preview.getByRole('button', { name: 'Preview' }).click()
  await expect(preview).toContainText(/latin1\.jsonl:1: the line is not UTF-8/)
})
