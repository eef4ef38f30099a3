import { launchRuns, untilSettled } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

test('runs are found by query, selected and compared; the view is in the address', async ({
  page,
  stack,
}) => {
  const runs = await launchRuns(stack, 'find me', ['lora', 'pissa'], 4)
  for (const run of runs) await untilSettled(stack, run.runId)
  await page.goto(`${stack.address}/runs`)
  await expect(page.getByTestId('run-row').first()).toBeVisible()
  await page.keyboard.press('/')
  await expect(page.getByLabel('Search runs')).toBeFocused()
  await page.keyboard.type('group:"find me" method:pissa')
  await expect(page.getByTestId('run-row')).toHaveCount(1)
  await expect(page.getByTestId('run-row')).toContainText(runs[1]!.name)

  await expect(page).toHaveURL(/method%3Apissa/)
  await page.reload()
  await expect(page.getByTestId('run-row')).toHaveCount(1)

  await page.getByLabel('Search runs').fill('group:"find me"')
  await page.getByLabel('Select group find me').check()
  await page.getByRole('button', { name: 'Compare', exact: true }).click()
  await expect(page.getByTestId('compared-run')).toHaveCount(2)

  await page.getByRole('tab', { name: 'Settings' }).click()
  await expect(page.getByRole('row', { name: /Initialisation of A/ })).toBeVisible()
  await page.getByRole('button', { name: `Hide ${runs[0]!.name}` }).click()
  await expect(page).toHaveURL(new RegExp(`hidden=${runs[0]!.runId}`))
})

test('keys lead from page to page, and their help lists them', async ({ page, stack }) => {
  await page.goto(`${stack.address}/runs`)
  await expect(page.getByTestId('connection')).toHaveText('Live')
  await page.keyboard.press('g')
  await page.keyboard.press('n')
  await expect(page).toHaveURL(/\/nodes$/)
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog')).toContainText('Switch between light and dark')
})

test('a run that does not exist says so and leads back', async ({ page, stack }) => {
  await page.goto(`${stack.address}/runs/nothing`)
  await expect(page.getByText('This run does not exist')).toBeVisible()
  await page.getByRole('button', { name: 'All runs' }).click()
  await expect(page).toHaveURL(/\/runs$/)
})

for (const scheme of ['light', 'dark'] as const) {
  test(`no page is wider than a telephone, nor throws, in ${scheme}`, async ({ browser, stack }) => {
    const [run] = await launchRuns(stack, `narrow ${scheme}`, ['lora'], 4)
    await untilSettled(stack, run!.runId)
    const context = await browser.newContext({
      viewport: { width: 390, height: 844 },
      colorScheme: scheme,
    })
    await context.addCookies([await stack.cookie()])
    const page = await context.newPage()
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(error.message))
    for (const path of ['/launch', '/runs', `/runs/${run!.runId}`, '/compare', '/nodes']) {
      await page.goto(stack.address + path)
      await expect(page.getByRole('heading', { level: 2 }).first()).toBeVisible()
      const width = await page.evaluate<number>('document.documentElement.scrollWidth')
      expect(width, path).toBeLessThanOrEqual(390)
    }
    expect(errors).toEqual([])
    await context.close()
  })
}

test('a filter completes, groups tell means, and a mistake is pointed at', async ({ page, stack }) => {
  await launchRuns(stack, 'filtered', ['lora', 'pissa'], 2)
  await page.goto(`${stack.address}/runs?by=method`)
  const search = page.getByLabel('Search runs')
  await search.fill('group = filtered and met')
  await page.getByRole('option', { name: 'method', exact: true }).click()
  await search.pressSequentially('= pissa and 1e-9 < lr < 1')
  await expect(page.getByTestId('run-row')).toHaveCount(1)
  await expect(page.getByTestId('group-row')).toHaveCount(1)
  await expect(page.getByTestId('group-row')).toContainText('pissa')
  await search.fill('group = filtered and rnak > 2')
  await expect(page.getByTestId('filter-error')).toContainText(
    'character 22: there is no field rnak; did you mean rank?',
  )
  await expect(page.getByTestId('filter-error').locator('mark')).toHaveText('rnak')
})
