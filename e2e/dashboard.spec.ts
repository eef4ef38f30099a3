import { expect, test } from './stack-fixture.ts'

test('the dashboard opens and shows the node online', async ({ page, stack }) => {
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.message))
  await page.goto(`${stack.address}/nodes`)
  await expect(page.getByText('test-node')).toBeVisible()
  await expect(page.getByText('online', { exact: false }).first()).toBeVisible()
  expect(errors).toEqual([])
})
