/**
 * MPI through koffi, without a compiler: the few functions that a collective needs, over the C interfaces of Open MPI
 * and of the MPICH family, which differ in what a handle is (the address of an object, or an integer).
 */
import { RankscopeError } from '@rankscope/protocol'
import koffi from 'koffi'

type Handle = unknown
type Library = ReturnType<typeof koffi.load>
type Status = number

export interface MpiLibrary {
  readonly family: 'Open MPI' | 'MPICH'
  readonly world: Handle
  readonly float: Handle
  initialise(): void
  rank(): number
  size(): number
  /** Starts a barrier; `test` says whether all have arrived. */
  startBarrier(): { test(): boolean }
  /** On a thread of its own; `send` and `receive` must not change meanwhile. */
  allGather(send: Float32Array, receive: Float32Array): Promise<void>
  /** On a thread of its own: `bytes` becomes what rank 0 has. */
  broadcast(bytes: Uint8Array): Promise<void>
  finalise(): void
}

const openMpi = ['libmpi.so.40', 'libmpi.so']
const mpich = ['libmpich.so.12', 'libmpi.so.12']
/** MPI_THREAD_MULTIPLE, the same number in both families. */
const threadMultiple = 3

/** Throws COLLECTIVE_FAILED where there is no MPI library or this process was not started by its launcher. */
export function loadMpi(): MpiLibrary {
  // Crashes in MPI_Init of Open MPI with UCX 1.13 beside Node's heap; see the UCX documentation of UCX_MEM_EVENTS.
  process.env['UCX_MEM_EVENTS'] ??= 'n'
  const underOpenMpi = process.env['OMPI_COMM_WORLD_SIZE'] !== undefined
  const { library, name } = openFirst(underOpenMpi ? openMpi : [...mpich, ...openMpi])
  pin(name)
  const isOpenMpi = hasSymbol(library, 'ompi_mpi_comm_world')
  const handle = isOpenMpi ? 'void *' : 'int'
  const world: Handle = isOpenMpi ? library.symbol('ompi_mpi_comm_world', 'char') : 0x44000000
  const byte: Handle = isOpenMpi ? library.symbol('ompi_mpi_byte', 'char') : 0x4c00010d
  const float: Handle = isOpenMpi ? library.symbol('ompi_mpi_float', 'char') : 0x4c00040a
  // koffi does not export the type of a parameter.
  const declare = (symbol: string, parameters: unknown[]) =>
    library.func(symbol, 'int', parameters as never[])
  const number = koffi.out(koffi.pointer('int'))
  const calls = {
    init: declare('MPI_Init_thread', ['void *', 'void *', 'int', number]),
    rank: declare('MPI_Comm_rank', [handle, number]),
    size: declare('MPI_Comm_size', [handle, number]),
    barrier: declare('MPI_Ibarrier', [handle, 'void *']),
    test: declare('MPI_Test', ['void *', number, 'void *']),
    allGather: declare('MPI_Allgather', ['void *', 'int', handle, 'void *', 'int', handle, handle]),
    broadcast: declare('MPI_Bcast', ['void *', 'int', handle, 'int', handle]),
    finalise: declare('MPI_Finalize', []),
  }
  const check = (status: Status, what: string) => {
    if (status !== 0) throw failed(`${what} returned ${status}`)
  }
  const read = (call: (out: number[]) => Status, what: string): number => {
    const out = [0]
    check(call(out), what)
    return out[0]!
  }
  return {
    family: isOpenMpi ? 'Open MPI' : 'MPICH',
    world,
    float,
    initialise() {
      const provided = read((out) => calls.init(null, null, threadMultiple, out), 'MPI_Init_thread')
      if (provided < threadMultiple) throw failed('the MPI library does not allow calls from several threads')
    },
    rank: () => read((out) => calls.rank(world, out), 'MPI_Comm_rank'),
    size: () => read((out) => calls.size(world, out), 'MPI_Comm_size'),
    startBarrier() {
      // A request is a pointer or an int; eight bytes hold either.
      const request = new BigUint64Array(1)
      check(calls.barrier(world, request), 'MPI_Ibarrier')
      // The status is ignored: NULL in Open MPI, 1 in MPICH.
      const ignored = isOpenMpi ? null : koffi.as(1n, 'void *')
      return { test: () => read((out) => calls.test(request, out, ignored), 'MPI_Test') !== 0 }
    },
    allGather: (send, receive) =>
      new Promise((resolve, reject) => {
        calls.allGather.async(
          send,
          send.length,
          float,
          receive,
          send.length,
          float,
          world,
          (error: unknown, status: Status) => {
            if (error) reject(error)
            else if (status !== 0) reject(failed(`MPI_Allgather returned ${status}`))
            else resolve()
          },
        )
      }),
    broadcast: (bytes) =>
      new Promise((resolve, reject) => {
        calls.broadcast.async(bytes, bytes.length, byte, 0, world, (error: unknown, status: Status) => {
          if (error) reject(error)
          else if (status !== 0) reject(failed(`MPI_Bcast returned ${status}`))
          else resolve()
        })
      }),
    finalise: () => check(calls.finalise(), 'MPI_Finalize'),
  }
}

function openFirst(names: readonly string[]): { library: Library; name: string } {
  const problems: string[] = []
  for (const name of names) {
    try {
      return { library: koffi.load(name, { global: true, lazy: true }), name }
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new RankscopeError('COLLECTIVE_FAILED', `no MPI library can be loaded: ${problems.join('; ')}`, {
    hint: 'Install Open MPI (Debian: openmpi-bin and libopenmpi-dev), or take virtual devices.',
  })
}

/** koffi unloads libraries at exit, MPI leaves threads and patched functions of libc behind: keep it loaded. */
function pin(name: string): void {
  const [now, global, noDelete] = [0x2, 0x100, 0x1000]
  const dlopen = koffi.load('libc.so.6').func('dlopen', 'void *', ['str', 'int'])
  if (!dlopen(name, now | global | noDelete)) throw failed(`${name} cannot be kept loaded`)
}

function hasSymbol(library: Library, name: string): boolean {
  try {
    library.symbol(name, 'char')
    return true
  } catch {
    return false
  }
}

function failed(what: string): RankscopeError {
  return new RankscopeError('COLLECTIVE_FAILED', what)
}
