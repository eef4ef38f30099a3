/**
 * For the test of kernels that get no memory: calls each of them in a process that may map nothing more, and prints
 * status and text as JSON, then once more with the limit lifted. Linux alone: nothing else holds a process to such a limit.
 */
import { readFileSync } from 'node:fs'
import koffi from 'koffi'
import { findBuiltLibrary } from '../../../kernels/built-library.ts'

const built = findBuiltLibrary()
if ('missing' in built) throw new Error(built.missing)
const library = koffi.load(built.path)
const [n, p, i, f] = ['int64_t', 'void *', 'int', 'float'] as const
const kernel = (name: string, types: readonly string[], result = 'int') =>
  library.func(name, result, [...types])
const lastError = kernel('rs_last_error', [], 'str')
kernel('rs_set_threads', [i])(2)

const gemm = kernel('rs_builtin_sgemm', [i, i, n, n, n, f, p, n, p, n, f, p, n, p])
const attention = kernel('rs_attention', [p, p, p, p, p, n, n, n, n, n, n, f])
const adapters = kernel('rs_adapter_gradients', [p, p, p, p, p, p, p, n, n, n, n, n, f])
const mora = kernel('rs_mora_map', [p, p, p, p, p, n, n, n, n, i, i])
const gain = kernel('rs_rms_norm_gain_gradient', [p, p, p, p, n, n])

const floats = (count: number) => new Float32Array(count).fill(0.5)
const size = 768
const matrix = floats(size * size)
const target = new Float32Array(size * size)
const long = floats(8 * 4096 * 16)
const other = [floats(long.length), floats(long.length), floats(long.length)]
const wide = floats(2048 * 2048)
const wideOut = floats(2048 * 2048)

/** Each needs blocks of a MiB or more, which are mapped. */
const cases: Record<string, (size: number) => number> = {
  'gemm, B packed': (m) => gemm(0, 0, m, m, m, 1, matrix, m, matrix, m, 3, target, m, null),
  'gemm, A and B packed': (m) => gemm(1, 1, m, m, m, 1, matrix, m, matrix, m, 0, target, m, null),
  attention: (m) =>
    attention(...([other[0], wide, long, long, long] as const), 8, (m / size) * 4096, 1, 1, 16, 0, 1),
  'adapter gradients': (m) =>
    adapters(
      ...([target, target, null, wide, wideOut, wide, wide] as const),
      1,
      64,
      (m / size) * 2048,
      2048,
      64,
      1,
    ),
  mora: (m) => mora(wideOut, wide, wide, null, null, (m / size) * 2048, 1024, 1024, 1024, 0, 0),
  'norm gradient': (m) => gain(wideOut, wide, wide, other[0], (m / size) * 1024, 2048),
}

const libc = koffi.load('libc.so.6')
koffi.struct('rlimit', { soft: 'uint64_t', hard: 'uint64_t' })
const setLimit = libc.func('int setrlimit(int resource, const rlimit *limit)')
const addressSpace = 9
const unlimited = 2n ** 64n - 1n

const told: Record<string, { status: number; text: string; touched: boolean; later: number }> = {}
for (const run of Object.values(cases)) run(size / 8) // threads and what libraries keep are there
for (const [name, run] of Object.entries(cases)) {
  target.fill(7)
  const mapped = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * 4096
  setLimit(addressSpace, { soft: mapped, hard: unlimited })
  const status = run(size)
  const text = lastError()
  setLimit(addressSpace, { soft: unlimited, hard: unlimited })
  const touched = target.some((value) => value !== 7)
  told[name] = { status, text, touched, later: -1 }
}
for (const [name, run] of Object.entries(cases)) told[name]!.later = run(size)
console.log(JSON.stringify(told))
