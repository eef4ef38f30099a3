/** What the browser tests share: small runs on whatever model the node offers, and the numbers behind a chart. */
import { readFile } from 'node:fs/promises'
import { expect, type Page } from '@playwright/test'
import {
  type ComparisonMethod,
  comparison,
  comparisonBase,
  isSettled,
  type RunView,
} from '@rankscope/protocol'
import type { TestStack } from './stack-fixture.ts'

/** The built-in model, or the first one that the node offers. */
export async function offeredModel(stack: TestStack): Promise<string> {
  const [node] = await stack.api.nodes()
  const paths = (node?.hello.models ?? []).map((model) => model.path)
  const model = paths.find((path) => path === 'rankscope-mini') ?? paths[0]
  if (model === undefined) throw new Error('the node offers no model: pretrain the built-in one first')
  return model
}

/** One short run per method, in one group. */
export async function launchRuns(
  stack: TestStack,
  group: string,
  methods: readonly ComparisonMethod[],
  steps: number,
): Promise<RunView[]> {
  const base = {
    ...comparisonBase,
    model: { path: await offeredModel(stack) },
    data: { ...comparisonBase.data, maxLength: 256 },
    training: { ...comparisonBase.training, globalBatchSize: 8, microBatchSize: 2, maxSteps: steps },
    evaluation: { ...comparisonBase.evaluation, everySteps: 50, examples: 8 },
  }
  return stack.api.createRuns(comparison(group, methods, base))
}

export async function untilStep(stack: TestStack, runId: string, step: number): Promise<void> {
  await expect
    .poll(async () => (await stack.api.run(runId)).step, { timeout: 90_000 })
    .toBeGreaterThanOrEqual(step)
}

export async function untilSettled(stack: TestStack, runId: string, timeout = 90_000): Promise<RunView> {
  await expect.poll(async () => isSettled((await stack.api.run(runId)).state), { timeout }).toBe(true)
  return stack.api.run(runId)
}

/** Rows of a chart’s CSV export, without its header. */
export async function chartRows(page: Page, title: string): Promise<string[][]> {
  await page.getByRole('button', { name: `Options of ${title}` }).click()
  const waiting = page.waitForEvent('download')
  await page.getByRole('menuitem', { name: 'Save as CSV' }).click()
  const text = await readFile(await (await waiting).path(), 'utf8')
  return text
    .trim()
    .split('\r\n')
    .slice(1)
    .map((line) => line.split(','))
}

/** Steps that the training loss is drawn for. */
export async function drawnSteps(page: Page): Promise<number[]> {
  return (await chartRows(page, 'Training loss')).map((row) => Number(row[1]))
}

export function everyStep(steps: number): number[] {
  return Array.from({ length: steps }, (_, index) => index + 1)
}

/** Wait until a curve is drawn in the chart of that title. */
export async function expectCurve(page: Page, title: string): Promise<void> {
  await expect(page.getByRole('region', { name: title }).locator('[data-drawn="true"]')).toBeVisible()
}
