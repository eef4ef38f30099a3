import { expectCurve, offeredModel } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

test('a run is launched from the form, and its loss and spectrum grow', async ({ page, stack }) => {
  const model = await offeredModel(stack)
  await page.goto(`${stack.address}/launch`)
  await expect(page.getByTestId('launch')).toHaveText('Launch 3 runs')

  await page.getByTestId('method-lora').click()
  await page.getByTestId('method-pissa').click()
  await page.getByRole('combobox', { name: 'Base model' }).fill(model)
  await page.getByLabel('Stop after').fill('30')
  await page.getByLabel('Maximum length').fill('256')
  await page.getByLabel('Evaluate every').fill('20')
  await page.getByRole('region', { name: 'What is measured' }).getByLabel('Examples').fill('8')

  await page.getByLabel('Batch size').fill('33')
  await expect(page.getByTestId('launch-errors')).toContainText('take a multiple of 16')
  await expect(page.getByTestId('launch')).toBeDisabled()
  await page.getByLabel('Batch size').fill('16')
  await expect(page.getByTestId('batch-arithmetic')).toContainText('4 × 4 devices × 1 accumulation step')

  await page.getByTestId('launch').click()
  await expect(page).toHaveURL(/\/runs\/[^/]+$/)
  await expectCurve(page, 'Training loss')
  await expectCurve(page, 'Spectrum of ΔW')
  await expect(page.getByRole('img', { name: /Chart: Spectrum of ΔW.* 2Kr = 32/ })).toBeVisible()
  await expect(page.getByTestId('run-state').first()).toHaveText('finished', { timeout: 60_000 })
})

test('the form says what each run needs before it starts, and warns where long examples would not fit', async ({
  page,
  stack,
}) => {
  await page.goto(`${stack.address}/launch`)
  const memory = page.getByTestId('memory')
  await expect(memory.getByRole('row')).toHaveCount(3)
  await expect(memory).toContainText(/at most of [\d.]+ GiB on test-node/)
  await expect(memory).toContainText(/LoRA\s*\d+ MiB/)
  await page.getByLabel('Maximum length').fill('131072')
  await expect(page.getByText(/needs up to [\d.]+ GiB/).first()).toBeVisible()
  await expect(page.getByTestId('launch')).toBeEnabled()
})

test('the form is in the address: reloading keeps every change', async ({ page, stack }) => {
  await page.goto(`${stack.address}/launch`)
  await page.getByLabel('Epochs').fill('7')
  await page.getByTestId('method-full').click()
  await expect(page).toHaveURL(/methods=.*epochs|epochs.*methods=/)
  await page.reload()
  await expect(page.getByLabel('Epochs')).toHaveValue('7')
  await expect(page.getByTestId('launch')).toHaveText('Launch 4 runs')
  await page.getByRole('button', { name: 'Undo 1 change' }).click()
  await expect(page.getByLabel('Epochs')).toHaveValue('1')
})

test('a configuration in JSON with an unknown setting is refused by name', async ({ page, stack }) => {
  await page.goto(`${stack.address}/launch?as=json`)
  const editor = page.getByLabel('Configurations as JSON')
  await editor.fill('{"data":{"source":{"kind":"task","task":"mix"}},"method":{"name":"lora","rnak":4}}')
  await expect(page.getByTestId('launch-errors')).toContainText('rnak')
  await expect(page.getByTestId('launch')).toBeDisabled()
})
