/** How finely series are asked for. */

const mostPoints = 20_000

/** Points asked for per run: all of a few runs (so that smoothing sees each), about one a pixel of a hundred. */
export function pointsPerRun(runs: number): number {
  const given = Number(new URLSearchParams(location.search).get('points'))
  if (Number.isInteger(given) && given >= 1) return Math.min(given, mostPoints)
  return Math.max(400, Math.min(mostPoints, Math.floor(50_000 / Math.max(1, runs))))
}
