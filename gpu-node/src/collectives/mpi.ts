/**
 * Ranks of an MPI job. Waiting for a straggler inside MPI burns a processor and stops this process's own timers, so a
 * barrier is polled every millisecond first, and only when all have arrived the data moves, on a thread of koffi's.
 */
import { RankscopeError } from '@rankscope/protocol'
import type { Collective } from './collective.ts'
import { loadMpi, type MpiLibrary } from './mpi-library.ts'

/** How long a rank waits for the others before it gives up; evaluations and exports happen on one rank only. */
const patienceMs = 6 * 3_600_000
const pollMs = 1
/** Ranks in step meet within this; so long a rank asks without sleeping. */
const eagerMs = 5

/** The collective of this process, which an MPI launcher has started. Throws COLLECTIVE_FAILED. */
export function openMpi(expectedSize: number): Collective {
  const mpi = loadMpi()
  mpi.initialise()
  const size = mpi.size()
  if (size !== expectedSize)
    throw new RankscopeError(
      'COLLECTIVE_FAILED',
      `the launcher started ${size} ranks, the run needs ${expectedSize}`,
      {
        hint: 'A launcher of another MPI family starts every process as a job of its own; check which mpirun is found.',
      },
    )
  const rank = mpi.rank()
  const barrier = () => arrive(mpi)
  let receivedBytes = 0
  return {
    rank,
    size,
    get receivedBytes() {
      return receivedBytes
    },
    barrier,
    async allGather(values) {
      const all = new Float32Array(size * values.length)
      if (values.length === 0) return all
      await barrier()
      await mpi.allGather(values, all)
      receivedBytes += (size - 1) * values.byteLength
      return all
    },
    async broadcast(bytes) {
      if (bytes.length === 0) return
      await barrier()
      await mpi.broadcast(bytes)
    },
    async close() {
      await barrier()
      mpi.finalise()
    },
  }
}

async function arrive(mpi: MpiLibrary): Promise<void> {
  const waiting = mpi.startBarrier()
  const start = performance.now()
  while (!waiting.test()) {
    const waitedMs = performance.now() - start
    if (waitedMs > patienceMs)
      throw new RankscopeError('COLLECTIVE_FAILED', 'the other ranks did not answer in time')
    await new Promise((resolve) => {
      if (waitedMs < eagerMs) setImmediate(resolve)
      else setTimeout(resolve, pollMs)
    })
  }
}
