/** How a person gets in: by the printed address, by the token, and again after it was changed. */
import type { Browser, Page } from '@playwright/test'
import { comparison, comparisonBase } from '@rankscope/protocol'
import { expectCurve, offeredModel, untilSettled } from './runs.ts'
import { expect, type TestStack, test } from './stack-fixture.ts'

/** A browser that was never here. */
async function stranger(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
  return (await browser.newContext(options)).newPage()
}

async function enterToken(page: Page, stack: TestStack): Promise<void> {
  await page.locator('input[name=token]').fill(new URL(stack.printedAddress).searchParams.get('token')!)
  await page.getByRole('button', { name: 'Continue' }).click()
  await expect(page.getByTestId('connection')).toHaveText('Live')
}

test('one click on the printed address leads in, and the token leaves the address', async ({
  browser,
  stack,
}) => {
  const page = await stranger(browser)
  await page.goto(stack.printedAddress)
  await expect(page.getByTestId('connection')).toHaveText('Live')
  expect(page.url()).toBe(`${stack.address}/runs`)
  expect(await page.evaluate('document.cookie + JSON.stringify(localStorage)')).not.toContain('rankscope-')
  await page.goto(`${stack.address}/nodes`)
  await expect(page.getByText('test-node').first()).toBeVisible()
  await page.context().close()
})

test('without a token a page asks for it, and then shows what was asked for', async ({ browser, stack }) => {
  const page = await stranger(browser)
  await page.goto(`${stack.address}/compare?runs=none`)
  await expect(page.getByRole('heading')).toHaveText('Rankscope asks for its token')
  await page.locator('input[name=token]').fill('wrong')
  await page.getByRole('button', { name: 'Continue' }).click()
  await expect(page.getByRole('alert')).toHaveText('That is not the token of this server.')
  await enterToken(page, stack)
  expect(page.url()).toBe(`${stack.address}/compare?runs=none`)
  await page.context().close()
})

for (const colorScheme of ['light', 'dark'] as const)
  test(`that page fits a telephone and can be read in ${colorScheme}`, async ({ browser, stack }) => {
    const page = await stranger(browser, { viewport: { width: 390, height: 700 }, colorScheme })
    const violations: string[] = []
    page.on('console', (message) => message.type() === 'error' && violations.push(message.text()))
    await page.goto(`${stack.address}/runs`)
    await expect(page.getByLabel('Token')).toBeFocused()
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
    const ground = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    expect(ground).toBe(colorScheme === 'light' ? 'rgb(248, 249, 250)' : 'rgb(26, 27, 30)')
    expect(violations.filter((text) => /Content.Security/i.test(text))).toEqual([])
    await page.screenshot({ path: test.info().outputPath('login.png') })
    await page.context().close()
  })

test('a page that is open when the token changes says so, and lets one in again', async ({ page, stack }) => {
  await page.goto(`${stack.address}/nodes`)
  await expect(page.getByTestId('connection')).toHaveText('Live')
  await stack.stopServer('SIGTERM')
  await expect(page.getByTestId('connection')).toHaveText('Offline')
  await stack.restartServer('another-token')
  await expect(page.getByRole('dialog')).toContainText('Token is no longer valid')
  await expect(page.getByTestId('connection')).toHaveText('Signed out')
  await page.screenshot({ path: test.info().outputPath('token-changed.png') })
  await enterToken(page, stack)
  expect(page.url()).toBe(`${stack.address}/nodes`)
  await expect(page.getByRole('dialog')).toHaveCount(0)
})

test('no page breaks its own content security policy: charts, and the description of the API', async ({
  page,
  stack,
}) => {
  const violations: string[] = []
  page.on('console', (message) => {
    if (/Content.Security.Policy/i.test(message.text())) violations.push(message.text())
  })
  const [config] = comparison('policy', ['lora'], {
    ...comparisonBase,
    model: { path: await offeredModel(stack) },
    data: { ...comparisonBase.data, maxLength: 256 },
    training: { ...comparisonBase.training, globalBatchSize: 8, microBatchSize: 2, maxSteps: 3 },
    evaluation: { ...comparisonBase.evaluation, everySteps: null, atStart: false, atEnd: false },
    spectra: { ...comparisonBase.spectra, everySteps: 1, atEnd: false },
  })
  const [run] = await stack.api.createRuns([config!])
  await untilSettled(stack, run!.runId)
  await page.goto(`${stack.address}/runs/${run!.runId}`)
  await expectCurve(page, 'Training loss')
  const waterfall = page.getByRole('region', { name: 'Spectra over the steps' })
  await waterfall.scrollIntoViewIfNeeded()
  await waterfall.getByText('Surface').click()
  await expect(waterfall.locator('.gl-container canvas, .js-plotly-plot').first()).toBeVisible()
  for (const path of ['/launch', '/compare', '/nodes']) {
    await page.goto(stack.address + path)
    await expect(page.getByRole('heading', { level: 2 }).first()).toBeVisible()
  }
  await page.goto(`${stack.address}/api/docs`)
  await expect(page.getByText('/api/runs').first()).toBeVisible()
  expect(violations).toEqual([])
})
