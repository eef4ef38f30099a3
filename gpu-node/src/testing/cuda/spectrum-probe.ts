/** Starts the CUDA backend in a process of its own and says who computes singular values there, of a small and a large matrix. */
import { cudaBackend } from '../../backends/cuda.ts'
import { createCuda } from '../../linalg/cuda.ts'
import { createPortable } from '../../linalg/portable.ts'
import { selectLinearAlgebra } from '../../linalg/select.ts'

await cudaBackend.start({ threads: 1 })
const { algebra, rejected } = selectLinearAlgebra()
console.log(`${algebra.name}: ${algebra.description}`)
for (const { name, reason } of rejected) console.log(`rejected ${name}: ${reason}`)

const portable = createPortable()
let place = 'the GPU'
const watched = createCuda(() => ({
  ...portable,
  singularValues(a, rows, columns) {
    place = 'the CPU'
    return portable.singularValues(a, rows, columns)
  },
}))
if (!('missing' in watched)) {
  const small = watched.singularValues(Float64Array.of(0, 5, 0, 0, 0, 2, 1, 0, 0), 3, 3)
  console.log(`${[...small].join(' ')} by ${place}`)
  const [rows, columns] = [2, 600_000]
  const large = new Float64Array(rows * columns)
  large[columns] = 9
  console.log(`${watched.singularValues(large, rows, columns)[0]} by ${place}`)
}
