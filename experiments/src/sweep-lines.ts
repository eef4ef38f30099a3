/**
 * Which results of a sweep belong together: a line of a plot, a row of the table of best settings. A line is a method with
 * the choices that make it another method (HD-PiSSA summed or averaged, LoRA's scale) or another task (data, model); what
 * is merely tuned (rates, ranks, schedules) varies along it. A mean over `sum` and `mean` would say nothing of either. Pure.
 */
import { methodLabels, type SettingValue } from '@rankscope/protocol'
import { settingText } from './axis-text.ts'
import type { RunResult } from './sweep-results.ts'

/** `HD-PiSSA, sum`: the line’s name, and its only identity. */
export function lineOf({ method, point }: Pick<RunResult, 'method' | 'point'>): string {
  const choices = Object.entries(point).filter(([path, value]) => isChoice(path, value))
  return [methodLabels[method], ...choices.map(choiceText)].join(', ')
}

/** Whether a setting tells lines apart. */
export function isChoice(path: string, value: SettingValue | undefined): boolean {
  return /^(method|data|model)\./.test(path) && (typeof value === 'string' || typeof value === 'boolean')
}

/** In the order of the results. */
export function linesIn(results: readonly RunResult[]): string[] {
  return [...new Set(results.map(lineOf))]
}

function choiceText([path, value]: [string, SettingValue]): string {
  // Of a file its name: the folders before it are the same for all, or of no interest.
  if (typeof value === 'string') return value.split(/[\\/]/).at(-1) || value
  return `${path.slice(path.lastIndexOf('.') + 1)} ${settingText(value)}`
}
