/** The two figures of docs/methods.md, section 4. */

import { type Figure, type Panel, spectrumFigure } from '../output/figure.ts'
import { rate as asText } from '../output/markdown.ts'
import type { ModuleResult, RunResult, Setting } from './runs.ts'

/** Spectra of the methods side by side, one panel per learning rate. */
export function methodsFigure(results: readonly RunResult[], module: string, setting: Setting): string {
  const panels = rates(results).map((rate): Panel => {
    const of = (label: string) => found(results, label, rate, module)
    const hd = of('HD-PiSSA mean')
    return {
      title: `learning rate ${asText(rate)}`,
      curves: [
        { label: 'LoRA, from its factors', look: 0, values: values(of('LoRA'), 'total') },
        { label: 'PiSSA, from its factors', look: 1, values: values(of('PiSSA'), 'total') },
        { label: 'HD-PiSSA, first-order part', look: 2, values: values(hd, 'first-order') },
        { label: 'HD-PiSSA, total', look: 3, values: values(hd, 'total') },
        { label: 'LoRA, merged into float32', look: 4, values: values(of('LoRA'), 'merged') },
      ],
      marks: marks(setting, true),
      levels: [{ label: 'noise of one rounding', value: hd.floor.once, place: 'after-marks' }],
    }
  })
  return figure(results, module, setting, panels, {
    title: 'Where the spectrum of ΔW ends',
    description:
      'Singular values of the weight update on a log axis: LoRA ends at r, PiSSA at 2r, the first-order part of HD-PiSSA at 2Kr; its total has a tail beyond.',
  })
}

/** The parts of HD-PiSSA's update, one row per aggregation and one column per learning rate. */
export function attributionFigure(results: readonly RunResult[], module: string, setting: Setting): string {
  const panels = ['mean', 'sum'].flatMap((aggregate) =>
    rates(results).map((rate): Panel => {
      const hd = found(results, `HD-PiSSA ${aggregate}`, rate, module)
      const control = found(results, `HD-PiSSA ${aggregate}, first order only`, rate, module)
      return {
        title: `${aggregate}, learning rate ${asText(rate)}`,
        curves: [
          { label: 'total', look: 3, values: values(hd, 'total') },
          { label: 'first-order part', look: 2, values: values(hd, 'first-order') },
          { label: 'second-order part', look: 5, values: values(hd, 'second-order') },
          { label: 'rounding', look: 0, values: values(hd, 'rounding') },
          {
            label: 'total of a run without the second-order term',
            look: 4,
            values: values(control, 'total'),
          },
        ],
        marks: marks(setting, false),
        levels: [{ label: 'expected rounding noise', value: hd.floor.everyStep, place: 'end' }],
      }
    }),
  )
  return figure(results, module, setting, panels, {
    title: 'What HD-PiSSA’s tail beyond 2Kr is made of',
    description:
      'Spectra of the total update, its first-order part, its second-order part and the rounding residual, and of a control run without the second-order term.',
  })
}

function figure(
  results: readonly RunResult[],
  module: string,
  { rank, devices }: Setting,
  panels: readonly Panel[],
  { title, description }: Pick<Figure, 'title' | 'description'>,
): string {
  const { rows, columns } = results[0]!.modules.find((entry) => entry.module === module)!
  const subject = `${module} [${rows}, ${columns}], r = ${rank}, K = ${devices}, ${results[0]!.steps} steps`
  return spectrumFigure({
    title: `${title}: ${subject}`,
    description,
    columns: rates(results).length,
    panels,
  })
}

function marks({ rank, devices }: Setting, every: boolean): Panel['marks'] {
  const all = [
    { label: 'r', rank },
    { label: '2r', rank: 2 * rank },
    { label: '2Kr', rank: 2 * devices * rank },
  ]
  return every ? all : all.slice(2)
}

function rates(results: readonly RunResult[]): number[] {
  return [...new Set(results.map(({ learningRate }) => learningRate))]
}

function found(results: readonly RunResult[], label: string, rate: number, module: string): ModuleResult {
  const run = results.find(({ variant, learningRate }) => variant.label === label && learningRate === rate)!
  return run.modules.find((entry) => entry.module === module)!
}

function values({ spectra }: ModuleResult, part: Parameters<typeof spectra.get>[0]): Float64Array {
  return spectra.get(part)!.singularValues
}
