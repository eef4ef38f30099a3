/** The vertical lines r, 2r, Kr, 2Kr of several runs, joined where they fall together, with labels that do not overlap. Pure. */
import { type MethodConfig, type RankMark, rankMarks } from '@rankscope/protocol'

/** Marks of all runs; equal ranks share one line. `bound` where it bounds every run that has it. */
export function joinedMarks(
  runs: readonly { method: MethodConfig; devices: number }[],
  minimumDimension: number,
): RankMark[] {
  const joined = new Map<number, RankMark>()
  for (const run of runs) {
    for (const mark of rankMarks(run.method, run.devices, minimumDimension)) {
      const same = joined.get(mark.rank)
      if (!same) joined.set(mark.rank, { ...mark })
      else {
        const labels = new Set([...same.label.split(' = '), ...mark.label.split(' = ')])
        same.label = [...labels].join(' = ')
        same.bound &&= mark.bound
      }
    }
  }
  return [...joined.values()].sort((a, b) => a.rank - b.rank)
}

/**
 * A row (0 at the top) for each label, so that no two in one row are closer than their widths allow.
 * `positions` are the labels’ centres in pixels, ascending; `widths` their widths in pixels.
 */
export function labelRows(positions: readonly number[], widths: readonly number[], gap = 6): number[] {
  const rowEnds: number[] = []
  return positions.map((position, index) => {
    const left = position - widths[index]! / 2
    let row = rowEnds.findIndex((end) => end + gap <= left)
    if (row === -1) row = rowEnds.length
    rowEnds[row] = position + widths[index]! / 2
    return row
  })
}
