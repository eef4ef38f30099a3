/** Ranks inside one process, as concurrent tasks: for tests of everything that ranks do, without a launcher. */
import type { Collective } from '../../collectives/collective.ts'

/** One collective per rank; each is given to a task of its own. */
export function localGroup(size: number): Collective[] {
  let waiting: { values: (Float32Array | undefined)[]; arrived: number; resolve: (all: Float32Array) => void }
  let round: Promise<Float32Array>
  const open = () => {
    round = new Promise((resolve) => {
      waiting = { values: Array(size), arrived: 0, resolve }
    })
  }
  open()
  const exchange = (rank: number, values: Float32Array): Promise<Float32Array> => {
    const [present, result] = [waiting, round]
    if (present.values[rank]) throw new Error(`rank ${rank} called twice before the others arrived`)
    present.values[rank] = values.slice()
    present.arrived++
    if (present.arrived === size) {
      open()
      const length = present.values[0]!.length
      if (present.values.some((part) => part!.length !== length))
        throw new Error('the ranks brought arrays of different lengths')
      const all = new Float32Array(size * length)
      present.values.forEach((part, k) => {
        all.set(part!, k * length)
      })
      present.resolve(all)
    }
    return result.then((all) => all.slice())
  }
  let told = new Uint8Array(0)
  return Array.from({ length: size }, (_, rank) => {
    let receivedBytes = 0
    return {
      rank,
      size,
      get receivedBytes() {
        return receivedBytes
      },
      allGather(values) {
        receivedBytes += (size - 1) * values.byteLength
        return exchange(rank, values)
      },
      async broadcast(bytes) {
        if (rank === 0) told = bytes.slice()
        await exchange(rank, Float32Array.of(bytes.length))
        bytes.set(told)
        // The next one waits until all have read this one.
        await exchange(rank, new Float32Array(0))
      },
      async barrier() {
        await exchange(rank, new Float32Array(0))
      },
      async close() {},
    }
  })
}
