/** Analyses of ΔW against W and the waterfall, on two short runs: what is shown is what was recorded. */
import type { Page } from '@playwright/test'
import { decodeColumn, decodeMessage, spectraProfilesAnswer } from '@rankscope/protocol'
import { expectCurve, launchRuns, untilSettled } from './runs.ts'
import { expect, test } from './stack-fixture.ts'

const module = 'model.layers.0.self_attn.q_proj'

async function finalProfiles(page: Page, address: string, runId: string, step: number) {
  const answer = await page.request.post(`${address}/api/runs/${runId}/spectra/profiles`, {
    data: {
      items: [{ module, step, final: true }],
      names: ['outputVectors', 'outputSliceShares', 'overlaps'],
    },
  })
  expect(answer.ok(), await answer.text()).toBe(true)
  const { spectra } = spectraProfilesAnswer.parse(decodeMessage(new Uint8Array(await answer.body())))
  return Object.fromEntries(
    Object.entries(spectra[0]!).map(([name, bytes]) => [name, decodeColumn(bytes!, 'float64')]),
  )
}

test('analyses of two runs say what was recorded, and the waterfall shows one against the other', async ({
  page,
  stack,
}) => {
  test.setTimeout(600_000)
  const steps = 10
  const runs = await launchRuns(stack, 'analyses', ['lora', 'hd-pissa'], steps)
  for (const run of runs) expect((await untilSettled(stack, run.runId, 240_000)).state).toBe('finished')
  // What training did not wait for is counted, in the records and beside the charts: of the first step one module is analysed.
  await page.goto(`${stack.address}/runs/${runs[0]!.runId}`)
  const { latest } = await stack.api.run(runs[0]!.runId)
  const putOff = Object.entries(latest).filter(([name]) => name.startsWith('analyses/putOff/'))
  expect(putOff.length).toBeGreaterThan(0)
  const counts = page.getByRole('region', { name: 'Skipped spectra' }).getByRole('row')
  for (const [name, count] of putOff) {
    const [, , layer, , projection] = name.split('.')
    const row = counts.filter({ hasText: `${layer} · ${projection}` })
    await expect(row.getByRole('cell').last()).toHaveText(String(count))
  }

  const [a, b] = await Promise.all(runs.map((run) => finalProfiles(page, stack.address, run.runId, steps)))
  const of = (name: string) =>
    `${stack.address}/compare?runs=${runs.map((run) => run.runId).join(',')}&module=${module}&analysis=${name}`

  await page.goto(of('slices'))
  const panel = page.getByRole('region', { name: 'ΔW against W' })
  const shares = b!['outputSliceShares']!
  await expect(panel).toContainText(`beyond, `)
  await expect(panel).toContainText(`${(100 * shares[0]!).toFixed(1)} %`)
  await expect(panel).toContainText('only HD-PiSSA shares directions out')

  await panel.getByRole('combobox', { name: 'Analysis' }).click()
  await page.getByRole('option', { name: 'Overlap of W₊’s directions with W’s' }).click()
  await expect(panel.locator('dt')).toHaveCount(20)
  await expect(panel).toContainText('Spike threshold')
  await expect(page).toHaveURL(/analysis=overlaps/)

  await panel.getByRole('combobox', { name: 'Analysis' }).click()
  await page.getByRole('option', { name: 'Rotation of W’s leading subspaces' }).click()
  await expect(panel.getByRole('row').filter({ hasText: '°' }).first()).toBeVisible()

  await panel.getByRole('combobox', { name: 'Analysis' }).click()
  await page.getByRole('option', { name: 'Subspaces of two runs' }).click()
  // φ(1, 1) is the squared cosine between the first directions.
  const [first, second] = [a!['outputVectors']!, b!['outputVectors']!]
  let product = 0
  for (let at = 0; at < first.length; at += 16) product += first[at]! * second[at]!
  await expect(panel.getByRole('cell').first()).toHaveText((product ** 2).toFixed(2))

  await page.getByRole('combobox', { name: 'Against', exact: true }).click()
  await page.getByRole('option', { name: `against ${runs[1]!.name}` }).click()
  await expectCurve(page, 'Spectra over the steps')
  await expect(page).toHaveURL(new RegExp(`waterfall.against=${runs[1]!.runId}`))
})
