/** Recipes from the browser: small at once, in full only when everything is named. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { offeredModel } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

test('a recipe runs small as a sweep that shows the paper’s numbers as not comparable', async ({
  page,
  stack,
}) => {
  await page.goto(stack.address)
  await page.getByRole('link', { name: 'Recipes' }).first().click()
  const card = page.getByTestId('recipe-table1-llama2')
  await expect(card).toContainText('MetaMathQA')
  await expect(card.getByTestId('paper-numbers')).toContainText('52.92')
  await card.getByRole('button', { name: /Run small: 3 runs/ }).click()
  await expect(page).toHaveURL(/\/sweeps\//)
  await expect(page.getByTestId('not-comparable')).toContainText('not comparable')
  await expect(page.getByTestId('sweep-progress')).toContainText('3 runs')
  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await expect(page.getByTestId('sweep-state')).toHaveText('stopped')
})

test('a recipe in full starts nothing before model, data and test file are named', async ({
  page,
  stack,
}) => {
  const model = await offeredModel(stack)
  for (const name of ['train.json', 'test.json'])
    writeFileSync(join(stack.dataFolder, name), JSON.stringify([{ query: 'What is 1 + 1?', response: '2' }]))
  const problem = { problem: 'What is 1 + 1?', solution: 'It is $\\boxed{2}$.' }
  writeFileSync(join(stack.dataFolder, 'math.jsonl'), `${JSON.stringify(problem)}\n`)
  await page.goto(stack.address)
  await page.getByRole('link', { name: 'Recipes' }).first().click()
  const card = page.getByTestId('recipe-table1-llama2')
  await card.getByRole('button', { name: 'In full…' }).click()
  const form = card.getByRole('form')
  await expect(form.getByTestId('recipe-problems')).toContainText('Llama-2-7B')
  await expect(form.getByTestId('recipe-problems')).toContainText('test questions of GSM8K')
  await expect(form.getByRole('button', { name: 'Launch in full' })).toBeDisabled()
  await form.getByLabel('Base model').fill(model)
  await form.getByLabel('Mathematics').fill(join(stack.dataFolder, 'train.json'))
  await expect(form.getByTestId('recipe-problems')).not.toContainText('Llama-2-7B')
  await form.getByLabel('GSM8K test file').fill(join(stack.dataFolder, 'test.json'))
  await expect(form.getByTestId('recipe-problems')).toContainText('test problems of MATH')
  await expect(form.getByRole('button', { name: 'Launch in full' })).toBeDisabled()
  await form.getByLabel('MATH test file').fill(join(stack.dataFolder, 'math.jsonl'))
  // What the node says of the memory stands beside the launch.
  await expect(form).toContainText('Memory, at most of')
  await expect(form.getByRole('button', { name: 'Launch 3 runs in full' })).toBeEnabled()
})
