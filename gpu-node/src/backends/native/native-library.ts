/** Loads the native kernels (gpu-node/kernels/rankscope.h) through koffi; one TypeScript function per C function. */
import koffi from 'koffi'
import { findBuiltLibrary } from '../../../kernels/built-library.ts'
import { prepareOpenblas } from '../../native-libraries/openblas-environment.ts'

const interfaceVersion = 3

/** Memory that a kernel reads or writes: an address of `rs_allocate`, an array of JavaScript, or NULL. */
export type Pointer = bigint | Float32Array | Float64Array | Int32Array | null

/** Argument types of each function of rankscope.h; all of them return a status. */
const p = 'void *'
const n = 'int64_t'
const f = 'float'
const signatures = {
  rs_set_threads: ['int'],
  rs_release: [p, n],
  rs_copy_bytes: [p, p, n],
  rs_fill: [p, n, f],
  rs_copy_rows: [p, n, p, n, n, n],
  rs_gemm: ['int', 'int', n, n, n, f, p, n, p, n, f, p, n, n, n, n, n],
  rs_gemm_low_rank: ['int', n, n, n, p, p, f, p, n, f, p, p],
  rs_adapter_gradients: [p, p, p, p, p, p, p, n, n, n, n, n, f],
  rs_mora_map: [p, p, p, p, p, n, n, n, n, 'int', 'int'],
  rs_mora_input_gradient: [p, p, p, p, p, n, n, n, n, 'int', 'int'],
  rs_mora_square_gradient: [p, p, p, p, p, n, n, n, n, 'int'],
  rs_dropout: [p, p, p, n, n, n, f, 'int'],
  rs_add: [p, p, p, n],
  rs_subtract: [p, p, p, n],
  rs_multiply: [p, p, p, n],
  rs_add_row: [p, p, p, n, n],
  rs_multiply_row: [p, p, p, n, n],
  rs_accumulate: [p, p, f, n],
  rs_compensated_accumulate: [p, p, p, f, n],
  rs_scale: [p, p, f, n],
  rs_round_bfloat16: [p, p, n],
  rs_multiply_one_plus: [p, p, p, n],
  rs_sum_of_squares: [p, p, n],
  rs_column_sum: [p, p, p, n, n],
  rs_transpose: [p, p, n, n],
  rs_rms_norm: [p, p, p, p, n, n, f],
  rs_rms_norm_input_gradient: [p, p, p, p, p, 'int', n, n],
  rs_rms_norm_gain_gradient: [p, p, p, p, n, n],
  rs_rope: [p, p, p, p, n, n, n, n, f],
  rs_attention: [p, p, p, p, p, n, n, n, n, n, n, f],
  rs_attention_backward: [p, p, p, p, p, p, p, p, p, n, n, n, n, n, n, f],
  rs_write_rows: [p, p, p, n, n, n],
  rs_cached_attention: [p, p, p, p, p, n, n, n, n, n, n, f],
  rs_swiglu: [p, p, p, n],
  rs_swiglu_backward: [p, p, p, p, p, n],
  rs_cross_entropy: [p, p, p, p, p, p, p, p, p, n, n, n, n],
  rs_embedding: [p, p, p, n, n, n],
  rs_embedding_backward: [p, p, p, n, n, n],
  rs_adamw: [p, p, p, p, n, f, f, f, f, f, n, f],
  rs_adam_delta: [p, p, p, p, n, f, f, f, f, n, f],
  rs_hd_pissa_apply: [p, p, p, p, p, p, n, n, n, n, f, 'int'],
} as const

type FunctionName = keyof typeof signatures
type Arguments<Types extends readonly string[]> = {
  [Index in keyof Types]: Types[Index] extends 'void *' ? Pointer : number
}

/** The C functions without their prefix; a status other than 0 has become an exception. */
export type NativeCalls = {
  readonly [Name in FunctionName as Name extends `rs_${infer Short}` ? Short : never]: (
    ...values: Arguments<(typeof signatures)[Name]>
  ) => void
}

export interface NativeLibrary extends NativeCalls {
  /** 64-byte aligned memory; throws when there is none. */
  allocate(bytes: number): bigint
  /** Who multiplies matrices, e.g. `built-in sgemm, OpenBLAS 0.3.29 with SkylakeX kernels`. */
  readonly description: string
  readonly path: string
}

let loaded: NativeLibrary | { readonly unavailable: string } | undefined

/** The library, loaded once per thread, or the reason why it cannot be used. */
export function loadNativeLibrary(): NativeLibrary | { readonly unavailable: string } {
  loaded ??= load()
  return loaded
}

function load(): NativeLibrary | { readonly unavailable: string } {
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

function bind(path: string): NativeLibrary {
  const library = koffi.load(path)
  const version = library.func('int rs_interface_version()')() as number
  if (version !== interfaceVersion)
    throw new Error(`interface version ${version} instead of ${interfaceVersion}`)
  const lastError = library.func('const char *rs_last_error()') as () => string
  const allocate = library.func('void *rs_allocate(int64_t bytes)') as (bytes: number) => bigint | null
  const calls: Record<string, (...values: (Pointer | number)[]) => void> = {}
  for (const [name, types] of Object.entries(signatures)) {
    const call = library.func(name, 'int', [...types])
    calls[name.slice('rs_'.length)] = (...values) => {
      if (call(...values) !== 0) throw new Error(`${name}: ${lastError()}`)
    }
  }
  return {
    ...(calls as unknown as NativeCalls),
    allocate(bytes) {
      const block = allocate(bytes)
      if (!block) throw new Error(`rs_allocate: ${lastError()}`)
      return block
    },
    description: library.func('const char *rs_gemm_description()')() as string,
    path,
  }
}
