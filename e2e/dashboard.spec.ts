import { expect, test } from './stack-fixture.ts'

test('the dashboard opens and shows the node online', async ({ page, stack }) => {
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.message))
  await page.goto(`${stack.address}/nodes`)
  await expect(page.getByText('test-node')).toBeVisible()
  await expect(page.getByText('online', { exact: false }).first()).toBeVisible()
  expect(errors).toEqual([])
})

test('a node’s GPU is shown with what it does', async ({ page, stack }) => {
  await page.goto(`${stack.address}/nodes`)
  const node = page.getByTestId('node')
  await expect(node.getByText('NVIDIA H200')).toBeVisible()
  const row = node.getByRole('row', { name: /GPU 0/ })
  await expect(row).toContainText('97 %')
  await expect(row).toContainText('655 W, 63 °C')
})
