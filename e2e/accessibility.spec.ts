import { AxeBuilder } from '@axe-core/playwright'
import { expectCurve, launchRuns } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

const ofColours = ['color-contrast', 'link-in-text-block']

test('no page has a serious finding of axe, in the light and the dark theme', async ({ page, stack }) => {
  test.slow()
  const [run] = await launchRuns(stack, 'axe', ['lora'], 4)
  const pages = [
    '/runs',
    '/launch',
    '/evaluate',
    `/runs/${run!.runId}`,
    `/runs/${run!.runId}?tab=modules`,
    `/runs/${run!.runId}?tab=files`,
    `/compare?runs=${run!.runId}`,
    '/recipes',
    '/sweeps',
    '/nodes',
  ]
  const findings: string[] = []
  for (const path of pages) {
    await page.emulateMedia({ colorScheme: 'light' })
    await page.goto(`${stack.address}${path}`)
    await expect(page.getByRole('heading').first()).toBeVisible()
    if (path.startsWith('/compare')) await expectCurve(page, 'Training loss')
    for (const scheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: scheme })
      await expect(page.locator('html')).toHaveAttribute('data-mantine-color-scheme', scheme)
      // Of all that axe looks at the themes differ in colours alone.
      const axe = new AxeBuilder({ page })
      const { violations } = await (scheme === 'light' ? axe : axe.withRules(ofColours)).analyze()
      findings.push(
        ...violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id, nodes }) => `${scheme} ${path} ${id}: ${nodes.map(({ html }) => html).join(' ')}`),
      )
    }
  }
  expect(findings).toEqual([])
})

test('pages have titles of their own, and everything is found by name', async ({ page, stack }) => {
  const [run] = await launchRuns(stack, 'by name', ['lora'], 2)
  await page.goto(`${stack.address}/runs`)
  await expect(page).toHaveTitle('Runs · Rankscope')
  await page.keyboard.press('Control+k')
  await page.getByPlaceholder('Page, run or command').fill(run!.name)
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(new RegExp(run!.runId))
  await expect(page).toHaveTitle(`${run!.name} · Rankscope`)
})
