/** The measures of ΔW that charts and tables offer: the protocol’s, and the size of ΔW beside them. */
import { frobeniusMeasure, rankMeasures } from '@rankscope/protocol'

export const measures = { ...rankMeasures, frobenius: frobeniusMeasure } as const

export type MeasureName = keyof typeof measures
export const measureNames = Object.keys(measures) as MeasureName[]

/** For a select: by what they tell. */
export const measureChoices = (['Rank', 'Tail', 'Size', 'Against W'] as const).map((group) => ({
  group,
  items: measureNames
    .filter((name) => measures[name].group === group)
    .map((name) => ({ value: name, label: measures[name].title })),
}))
