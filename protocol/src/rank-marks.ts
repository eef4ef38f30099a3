/** The ranks that theory predicts for ΔW, drawn as lines on every spectrum: r, 2r, Kr, 2Kr. Pure. */
import type { MethodConfig } from './method-config.ts'

export type RankMark = {
  /** What the line says, e.g. `2Kr`. */
  label: string
  rank: number
  /** True where the method's ΔW cannot exceed it (exact arithmetic). */
  bound: boolean
}

/** Marks of a method with K devices that lie strictly inside min(m, n). */
export function rankMarks(method: MethodConfig, devices: number, minimumDimension: number): RankMark[] {
  return allMarks(method, devices).filter((mark) => mark.rank < minimumDimension)
}

/** The measures that hold tail ratios, by the mark that they are taken at. */
export const tailRatioMeasures = {
  r: 'tailRatioAtR',
  '2r': 'tailRatioAt2r',
  Kr: 'tailRatioAtKr',
  '2Kr': 'tailRatioAt2Kr',
} as const

export type TailRatioPlace = {
  measure: (typeof tailRatioMeasures)[keyof typeof tailRatioMeasures]
  rank: number
}

/** Where a method's tail ratios are taken: at each of its marks. */
export function tailRatioPlaces(
  method: MethodConfig,
  devices: number,
  minimumDimension: number,
): TailRatioPlace[] {
  return rankMarks(method, devices, minimumDimension).flatMap(({ label, rank }) =>
    (label.split(' = ') as (keyof typeof tailRatioMeasures)[]).map((mark) => ({
      measure: tailRatioMeasures[mark],
      rank,
    })),
  )
}

function allMarks(method: MethodConfig, devices: number): RankMark[] {
  switch (method.name) {
    case 'full':
    case 'mora':
      return []
    case 'lora':
      return [{ label: 'r', rank: method.rank, bound: true }]
    case 'dora':
    case 'hira':
      return [{ label: 'r', rank: method.rank, bound: false }]
    case 'pissa':
      return [
        { label: 'r', rank: method.rank, bound: false },
        { label: '2r', rank: 2 * method.rank, bound: true },
      ]
    case 'lora-dwu':
      return unique([
        { label: 'r', rank: method.rank, bound: method.sharedInit || devices === 1 },
        { label: 'Kr', rank: devices * method.rank, bound: true },
      ])
    case 'intermediate':
      // Its merges telescope, so the bound holds however often the devices meet.
      return quadruple(method.rank, devices, true)
    case 'hd-pissa':
      return quadruple(method.rank, devices, !method.secondOrder || method.adapters === 'evolving')
    default:
      return method satisfies never
  }
}

function quadruple(rank: number, devices: number, bound: boolean): RankMark[] {
  return unique([
    { label: 'r', rank, bound: false },
    { label: '2r', rank: 2 * rank, bound: false },
    { label: 'Kr', rank: devices * rank, bound: false },
    { label: '2Kr', rank: 2 * devices * rank, bound },
  ])
}

/** Marks at the same rank are joined: with K = 2, `2r = Kr`. */
function unique(marks: RankMark[]): RankMark[] {
  const joined: RankMark[] = []
  for (const mark of marks) {
    const same = joined.find((other) => other.rank === mark.rank)
    if (!same) joined.push({ ...mark })
    else {
      same.label = `${same.label} = ${mark.label}`
      same.bound ||= mark.bound
    }
  }
  return joined
}
