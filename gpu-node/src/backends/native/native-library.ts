/** The CPU build of the kernels: its library, loaded once per thread, as the device backend wants it. */
import koffi from 'koffi'
import { findBuiltLibrary } from '../../../kernels/built-library.ts'
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
  const calls = bindDeviceCalls(koffi.load(path))
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
  }
}
