/** The functions of gpu-node/kernels/rankscope.h: one list, whatever build of it is loaded. */
import { RankscopeError } from '@rankscope/protocol'
import type { LibraryHandle } from 'koffi'

const interfaceVersion = 6
/** RS_OUT_OF_MEMORY of rankscope.h. */
const outOfMemory = 2

/** Memory that a kernel reads or writes: an address of `rs_allocate`, an array of the host, or NULL. */
export type Pointer = bigint | Uint8Array | Float32Array | Float64Array | Int32Array | BigInt64Array | null

/** Argument types of each function of rankscope.h; all of them return a status. */
const p = 'void *'
const n = 'int64_t'
const f = 'float'
const signatures = {
  rs_set_threads: ['int'],
  rs_set_products: ['int'],
  rs_set_operands: ['int'],
  rs_release: [p, n],
  rs_upload: [p, p, n],
  rs_download: [p, p, n],
  rs_copy: [p, p, n],
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
  rs_divide: [p, p, p, n],
  rs_maximum: [p, p, p, n],
  rs_square_root: [p, p, n],
  rs_add_row: [p, p, p, n, n],
  rs_multiply_row: [p, p, p, n, n],
  rs_accumulate: [p, p, f, n],
  rs_compensated_accumulate: [p, p, p, f, n],
  rs_scale: [p, p, f, n],
  rs_round_bfloat16: [p, p, n],
  rs_multiply_one_plus: [p, p, p, n],
  rs_sum_of_squares: [p, p, p, n],
  rs_column_sum: [p, p, p, n, n],
  rs_transpose: [p, p, n, n],
  rs_widen: [p, p, n, n, 'int', 'int'],
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
export type DeviceCalls = {
  readonly [Name in FunctionName as Name extends `rs_${infer Short}` ? Short : never]: (
    ...values: Arguments<(typeof signatures)[Name]>
  ) => void
}

/** What any build has, bound by koffi. Throws where it is a build of another interface. */
export function bindDeviceCalls(library: LibraryHandle): DeviceCalls & {
  allocate(bytes: number): bigint
  readonly description: string
} {
  const version = library.func('int rs_interface_version()')() as number
  if (version !== interfaceVersion)
    throw new Error(`interface version ${version} instead of ${interfaceVersion}`)
  const lastError = library.func('const char *rs_last_error()') as () => string
  const allocate = library.func('void *rs_allocate(int64_t bytes)') as (bytes: number) => bigint | null
  const refused = (name: string, status: number) =>
    status === outOfMemory
      ? new RankscopeError('OUT_OF_MEMORY', lastError(), {
          hint: 'Take a smaller micro-batch or maximum length, or gradient checkpointing.',
        })
      : new Error(`${name}: ${lastError()}`)
  const calls: Record<string, (...values: (Pointer | number)[]) => void> = {}
  for (const [name, types] of Object.entries(signatures)) {
    const call = library.func(name, 'int', [...types])
    calls[name.slice('rs_'.length)] = (...values) => {
      const status = call(...values) as number
      if (status !== 0) throw refused(name, status)
    }
  }
  return {
    ...(calls as unknown as DeviceCalls),
    allocate(bytes) {
      const block = allocate(bytes)
      if (!block) throw refused('rs_allocate', outOfMemory)
      return block
    },
    description: library.func('const char *rs_gemm_description()')() as string,
  }
}
