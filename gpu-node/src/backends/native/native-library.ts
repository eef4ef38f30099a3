/** The CPU build of the kernels: its library, loaded once per thread, as the device backend wants it. */
import { basename } from 'node:path'
import koffi from 'koffi'
import { findBuiltLibrary } from '../../../kernels/built-library.ts'
import { readTuning, sgemmText, wishedSgemm } from '../../../kernels/sgemm-choice.ts'
import { prepareOpenblas } from '../../native-libraries/openblas-environment.ts'
import { bindDeviceCalls } from '../device/device-calls.ts'
import type { DeviceLibrary } from '../device/device-library.ts'

type Loaded = DeviceLibrary | { readonly unavailable: string }

let loaded: Loaded | undefined

/** The library, or the reason why it cannot be used. */
export function loadNativeLibrary(): Loaded {
  loaded ??= load()
  return loaded
}

function load(): Loaded {
  const built = findBuiltLibrary()
  if ('missing' in built) return { unavailable: built.missing }
  const objection = prepareOpenblas(built.openblas)
  if (objection) return { unavailable: objection }
  try {
    return bind(built.path)
  } catch (error) {
    return {
      unavailable: `${built.path} cannot be loaded: ${error instanceof Error ? error.message : error}`,
    }
  }
}

function bind(path: string): DeviceLibrary {
  const handle = koffi.load(path)
  // Chosen before anything multiplies; a product is described as it then is.
  const choice = wishedSgemm() ?? readTuning(basename(path))?.choice
  if (choice) {
    const choose = handle.func('int rs_choose_sgemm(int builtin, int64_t depth, int64_t rows)')
    if (choose(choice.product === 'built-in' ? 1 : 0, choice.depth, choice.rows) !== 0)
      throw new Error(`it has no product ${sgemmText(choice)}`)
  }
  const calls = bindDeviceCalls(handle)
  return {
    ...calls,
    name: 'native',
    pooled: true,
    logitsAtOnce: 4 * 2 ** 20,
    async downloadLater(from, count) {
      const values = new Float32Array(count)
      if (count > 0) calls.download(values, from, values.byteLength)
      return values
    },
    async sumOfSquares(addresses, sizes) {
      const sum = new Float64Array(1)
      calls.sum_of_squares(sum, addresses, sizes, addresses.length)
      return sum[0]!
    },
  }
}
