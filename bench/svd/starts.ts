/** The starts that are measured: all target matrices of a model of size C, for PiSSA and for HD-PiSSA. */
import type { TopSvdEntry } from '../../gpu-node/src/linalg/index.ts'
import { Random } from '../../gpu-node/src/random.ts'
import { sizes } from '../engine/sizes.ts'

const { hidden, mlp, layers } = sizes['C']!
const random = new Random(42)
export const square = random.fillNormal(new Float32Array(hidden * hidden), 0, 0.02)
export const wide = random.fillNormal(new Float32Array(hidden * mlp), 0, 0.02)
export const wideShape = { rows: hidden, columns: mlp } as const

/**
 * The seven target matrices of each block, in memory as a loaded model has them; each differs from the others, so that
 * each has its own place in a cache.
 */
export function targetMatrices(): Omit<TopSvdEntry, 'rank'>[] {
  const block = [
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => ({
      name,
      w: square,
      rows: hidden,
      columns: hidden,
    })),
    ...['gate_proj', 'up_proj'].map((name) => ({ name, w: wide, rows: hidden, columns: mlp })),
    { name: 'down_proj', w: wide, rows: mlp, columns: hidden },
  ]
  return Array.from({ length: layers }, () => block)
    .flat()
    .map(({ name, w, ...shape }, index) => ({
      ...shape,
      name: `${name} ${index}`,
      w: w.slice().fill(index * 1e-3, 0, 1),
    }))
}
