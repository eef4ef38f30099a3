/**
 * `npm run bench -- sandbox`: runs every canonical solution of HumanEval and MBPP in the sandbox, and for each a
 * solution that returns nothing; prints what did not come out as it should. Exits with 1 where anything did not.
 */

import { availableParallelism } from 'node:os'
import { benchmarkTitles } from '@rankscope/protocol'
import { type BenchmarkItem, findBenchmark, type NamedBenchmark } from '../gpu-node/src/benchmarks/index.ts'
import { requireSandbox } from '../gpu-node/src/benchmarks/sandbox.ts'

async function check(name: 'humaneval' | 'mbpp', folder: string): Promise<number> {
  const { benchmark, file } = findBenchmark(name, folder)
  if (benchmark.kind !== 'write') throw new Error('a benchmark of programs is expected')
  const items = await benchmark.read(file, null)
  const started = performance.now()
  const wrong: string[] = []
  const queue = [...items]
  const work = async () => {
    for (let item = queue.shift(); item; item = queue.shift()) {
      const right = await benchmark.judge(item, canonical(benchmark, item))
      if (!right.correct) wrong.push(`${item.id}: the canonical solution is refused (${right.reason})`)
      const empty = await benchmark.judge(item, emptied(benchmark, item))
      if (empty.correct) wrong.push(`${item.id}: a solution that returns nothing passes`)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  const perProgram = (performance.now() - started) / (2 * items.length)
  console.log(
    `${benchmarkTitles[benchmark.name]}: ${items.length} items, ${wrong.length} not as they should be, ${perProgram.toFixed(0)} ms a program`,
  )
  for (const line of wrong) console.log(`  ${line}`)
  return wrong.length
}

/** HumanEval's goes on from the prompt; of MBPP it is the whole program. */
function canonical({ name }: NamedBenchmark['benchmark'], { reference }: BenchmarkItem): string {
  return name === 'humaneval' ? reference : `\`\`\`python\n${reference}\n\`\`\``
}

/** Every function returns at once, and nothing. */
function emptied({ name }: NamedBenchmark['benchmark'], { reference }: BenchmarkItem): string {
  if (name === 'humaneval') return '    return None\n'
  return reference.replaceAll(/^([ \t]*)(def .*:)[ \t]*/gm, '$1$2 return None\n$1 ')
}

requireSandbox()
const [, , folder] = process.argv
if (folder === undefined) {
  console.error('usage: npm run bench -- sandbox FOLDER with humaneval/ and mbpp/')
  process.exit(2)
}
const wrong = (await check('humaneval', folder)) + (await check('mbpp', folder))
process.exitCode = wrong === 0 ? 0 : 1
