/** The usual start of an adapter's input side. */
import type { Random } from '../random.ts'

/** A [m, r], uniform within ±1/√m: Kaiming's bound √3 · gain / √m with the gain √(2 / (1 + 5)) of a = √5. */
export function kaimingUniform(random: Random, rows: number, rank: number): Float32Array {
  const bound = 1 / Math.sqrt(rows)
  return random.fillUniform(new Float32Array(rows * rank), -bound, bound)
}
