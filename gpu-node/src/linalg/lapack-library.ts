/**
 * Finds a system BLAS/LAPACK and binds the Fortran routines that `lapack.ts` calls.
 *
 * Looked for, best first: the OpenBLAS that the native kernels use, one for OpenMP, one for pthreads, whatever
 * OpenBLAS the system prefers, the reference LAPACK. The Fortran interface is used, since every one of them has it:
 * all arguments by pointer, column-major, 32-bit integers, hidden string lengths at the end.
 */
import koffi, { type LibraryHandle } from 'koffi'
import { findBuiltLibrary } from '../../kernels/built-library.ts'
import { firstUsable, openblasControls, openblasFiles } from '../native-libraries/openblas-library.ts'

type Pointer = Int32Array | Float32Array | Float64Array | Uint8Array
type Routine = (...arguments_: (Pointer | number)[]) => void

/** Number of pointer arguments of each routine, and how many of them are character options. */
const signatures = {
  dgesdd_: [14, 1],
  sgesdd_: [14, 1],
  dgesvd_: [14, 2],
  sgesvd_: [14, 2],
  dgeqrf_: [8, 0],
  dorgqr_: [9, 0],
  dgemm_: [13, 2],
  dsyrk_: [10, 2],
  dsytrd_: [10, 1],
  dsterf_: [4, 0],
  dstein_: [13, 0],
  dstemr_: [21, 2],
  dormtr_: [13, 3],
} as const

export type RoutineName = keyof typeof signatures

export interface LapackLibrary {
  readonly description: string
  readonly routines: Readonly<Record<RoutineName, Routine>>
  setThreads(count: number): number
}

/** Files first, then what the dynamic loader knows by name. */
function candidates(): string[] {
  const built = findBuiltLibrary()
  const ofKernels = 'missing' in built || !built.openblas ? [] : [built.openblas]
  return [...ofKernels, ...openblasFiles(), 'libopenblas.so.0', 'liblapack.so.3']
}

/** The first library that loads, computes right and has every routine, or the reasons why none did. */
export function findLapack(): LapackLibrary | { readonly missing: string } {
  return firstUsable(candidates(), bind)
}

function bind(path: string): LapackLibrary {
  const library = koffi.load(path)
  const routines = {} as Record<RoutineName, Routine>
  for (const name of Object.keys(signatures) as RoutineName[]) routines[name] = bindRoutine(library, name)
  const openblas = path.includes('openblas') ? openblasControls(library) : undefined
  return {
    description: openblas?.description ?? `LAPACK (${path})`,
    routines,
    setThreads: openblas?.setThreads ?? (() => 1),
  }
}

function bindRoutine(library: LibraryHandle, name: RoutineName): Routine {
  const [pointers, strings] = signatures[name]
  const types = [...Array<string>(pointers).fill('void *'), ...Array<string>(strings).fill('size_t')]
  const routine = library.func(name, 'void', types)
  const lengths = Array<number>(strings).fill(1)
  return (...pointersGiven) => routine(...pointersGiven, ...lengths)
}
