/**
 * `npm run bench -- <what>`: measurements of this machine, printed as tables and saved under bench/results/.
 *
 *   engine   training steps of each method against the machine's matrix products, and against PyTorch where it is
 *   svd      starts by singular value decomposition
 */
const benches: Record<string, () => Promise<unknown>> = {
  engine: async () => (await import('./engine/bench.ts')).benchEngine(process.argv.slice(3)),
  'engine-case': async () => (await import('./engine/case.ts')).runCase(process.argv[3] ?? ''),
  svd: () => import('./svd.ts'),
}

const name = process.argv[2] ?? ''
const bench = benches[name]
if (bench) {
  await bench()
} else {
  const names = Object.keys(benches).filter((known) => known !== 'engine-case')
  console.error(`There is no measurement "${name}". Known: ${names.join(', ')}`)
  process.exitCode = 1
}
