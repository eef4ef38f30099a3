/** For the contract test: the same work on every rank, in one process or in many. */
import { type Collective, sumNumbers, sumOverRanks } from '../../collectives/collective.ts'

/** One result per rank of the same work. */
export async function exercise(collective: Collective) {
  const { rank, size } = collective
  const own = Float32Array.of(rank, 10 * rank + 0.5)
  const gathered = [...(await collective.allGather(own))]
  await collective.barrier()
  const sum = [...(await sumOverRanks(collective, Float32Array.of(0.1 * (rank + 1), rank)))]
  const numbers = await sumNumbers(collective, [Math.PI * (rank + 1), rank === 0 ? Number.NaN : 1, 1e30])
  const empty = await collective.allGather(new Float32Array(0))
  const large = await collective.allGather(new Float32Array(300_000).fill(rank + 1))
  const corners = [large[0], large[299_999], large.at(-1)]
  const { receivedBytes } = collective
  const told = Uint8Array.of(rank, 255 - rank)
  await collective.broadcast(told)
  return {
    rank,
    size,
    receivedBytes,
    gathered,
    sum,
    numbers: numbers.map(String),
    empty: empty.length,
    corners,
    told: [...told],
  }
}
