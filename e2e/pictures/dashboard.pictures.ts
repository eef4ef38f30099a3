/** Pictures of the dashboard for the docs: pages at three widths, light and dark; RANKSCOPE_PICTURES names the folder. */
import { join } from 'node:path'
import { comparisonMethodNames } from '@rankscope/protocol'
import { launchRuns, untilSettled } from '../runs.ts'
import { expect, test } from '../stack-fixture.ts'

const folder = process.env['RANKSCOPE_PICTURES'] ?? join(import.meta.dirname, '../../docs/images')
const widths = [1440, 1024, 390]
const module = 'model.layers.0.self_attn.q_proj'

test('pictures of every page', async ({ page, stack }) => {
  const runs = await launchRuns(stack, 'pictures', comparisonMethodNames, 60)
  for (const run of runs) await untilSettled(stack, run.runId, 300_000)
  const all = runs.map((run) => run.runId).join(',')
  const hd = runs.at(-1)!
  const pages = {
    runs: '/runs',
    run: `/runs/${hd.runId}?module=${module}&analysis=overlaps`,
    'layer-map': `/runs/${hd.runId}?tab=modules`,
    compare: `/compare?runs=${all}&module=${module}&analysis=energy`,
    nodes: '/nodes',
    launch: '/launch',
  }
  for (const scheme of ['light', 'dark'] as const)
    for (const width of widths) {
      await page.emulateMedia({ colorScheme: scheme })
      await page.setViewportSize({ width, height: width < 500 ? 844 : 900 })
      for (const [name, path] of Object.entries(pages)) {
        await page.goto(`${stack.address}${path}`)
        await expect(page.getByRole('heading').first()).toBeVisible()
        // Charts further down load when they come into sight.
        await page.mouse.wheel(0, 4000)
        await page.waitForLoadState('networkidle')
        await page.mouse.wheel(0, -4000)
        await page.screenshot({
          path: join(folder, `${name}-${width}-${scheme}.jpg`),
          type: 'jpeg',
          quality: 70,
          fullPage: true,
        })
      }
    }
})
