/** Whether values survive being stored: a narrower type must not turn a finite weight into infinity unnoticed. */
import { RankscopeError } from '@rankscope/protocol'
import type { FloatDtype } from './dtypes.ts'

/** From this magnitude on a value is rounded to infinity: half a unit in the last place beyond the largest. */
const overflow: Readonly<Record<FloatDtype, number>> = {
  F16: 65_520,
  BF16: (2 - 2 ** -8) * 2 ** 127,
  F32: (2 - 2 ** -24) * 2 ** 127,
  F64: Number.POSITIVE_INFINITY,
}

/** Throws NUMERIC naming the tensor where a value is not finite, or would not be in `dtype`. Returns the values. */
export function requireStorable<A extends Float32Array | Float64Array>(
  name: string,
  values: A,
  dtype: FloatDtype,
): A {
  const limit = overflow[dtype]
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i]!) < limit) continue
    const value = values[i]!
    throw new RankscopeError(
      'NUMERIC',
      Number.isFinite(value)
        ? `tensor ${name} holds ${value}, which ${dtype} cannot hold`
        : `tensor ${name} to be written holds ${value}`,
      {
        hint: Number.isFinite(value)
          ? 'Write it in a type with a larger range: BF16 or F32.'
          : 'The merged weights overflow float32. The weights that were trained are in the run’s last checkpoint.',
      },
    )
  }
  return values
}
