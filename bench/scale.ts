/**
 * `npm run bench -- scale`: what a checkpoint of real size takes from loading to export, phase by phase, beside the estimate of its memory.
 *
 * Options: --layers 22 (2048 wide, a vocabulary of 32,000: 1.1 billion parameters), --methods lora,hd-pissa, --threads 1,2, --steps 20,
 * --folder DIR (for the model, which is kept there and used again; default a temporary one), --docs DIR (writes the section
 * "scale" of benchmarks.md there; without it the table is only printed).
 *
 * The model is random, bfloat16, in shards of a gigabyte or less. A run trains 4 x 512 tokens a step, takes the spectra of
 * all modules at its end and exports the merged model. `cat` reads the same files just before. The files are dropped from the page cache
 * before either, where GNU dd can ask for that (what else holds them, a host of this machine say, may still answer faster than
 * a disk). Loading is from the phase's beginning, so it includes the backend's start and the search for NaN.
 * The peak is the process's largest resident set (Linux), less the pages of files that it maps.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { launchCommand } from '@rankscope/launch'
import { machineLine } from './output/machine.ts'
import { markdownTable, replaceSection } from './output/markdown.ts'
import { makeModel, type ScaleRun } from './scale/model.ts'

const { values: options } = parseArgs({
  options: {
    layers: { type: 'string', default: '22' },
    methods: { type: 'string', default: 'lora,hd-pissa' },
    threads: { type: 'string', default: [...new Set([1, availableParallelism()])].join(',') },
    steps: { type: 'string', default: '20' },
    folder: { type: 'string' },
    docs: { type: 'string' },
  },
})
const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'rankscope-scale-'))
try {
  const model = join(folder, `model-${options.layers}`)
  if (!existsSync(join(model, 'config.json'))) {
    mkdirSync(model, { recursive: true })
    await makeModel(model, Number(options.layers))
  }
  const rows: string[][] = []
  for (const method of options.methods.split(','))
    for (const threads of options.threads.split(',').map(Number)) {
      dropFromCache(model)
      const catSeconds = readFiles(model)
      dropFromCache(model)
      const run = trained(model, method, threads)
      const seconds = (phase: string) => `${(run.phases[phase] ?? 0).toFixed(1)} s`
      const load = run.phases['loading-model'] ?? 0
      const estimate = run.estimateGib
      rows.push([
        `${method}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
        `${load.toFixed(1)} s (${(load / catSeconds).toFixed(0)} x)`,
        seconds('decomposing'),
        `${run.stepSeconds.toFixed(2)} s`,
        seconds('training'),
        seconds('measuring-spectra'),
        seconds('exporting'),
        `${run.peakGib.toFixed(2)} GiB`,
        `${estimate.toFixed(2)} GiB (${(run.peakGib / estimate).toFixed(2)} x)`,
      ])
    }
  const header = [
    'run',
    'loading (of cat)',
    'start by SVD',
    'step',
    'training',
    'final spectra',
    'export',
    'peak',
    'estimate (peak of it)',
  ]
  const table = markdownTable(header, rows)
  console.log(table)
  if (options.docs !== undefined) {
    const where = machineLine(`${options.layers} layers of 2048, ${options.steps} steps of 4 x 512 tokens`)
    replaceSection(join(options.docs, 'benchmarks.md'), 'scale', `${where}\n\n${table}`)
  }
} finally {
  if (options.folder === undefined) rmSync(folder, { recursive: true, force: true })
}

function filesOf(model: string): string[] {
  return readdirSync(model).map((name) => join(model, name))
}

function dropFromCache(model: string): void {
  // Only pages that are on disk can be dropped.
  spawnSync('sync')
  for (const file of filesOf(model))
    spawnSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none'])
}

/** Seconds that cat takes for all files of the model. */
function readFiles(model: string): number {
  const files = filesOf(model)
  const started = performance.now()
  spawnSync('cat', files, { stdio: ['ignore', 'ignore', 'inherit'] })
  return (performance.now() - started) / 1000
}

/** In a process of its own, whose peak is its own. */
function trained(model: string, method: string, threads: number): ScaleRun {
  const out = join(folder, 'run')
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out)
  const result = join(out, 'measured.json')
  const request = join(out, 'request.json')
  writeFileSync(
    request,
    JSON.stringify({ model, method, threads, steps: Number(options.steps), out, result }),
  )
  const entry = pathToFileURL(join(import.meta.dirname, 'scale/run.ts'))
  const [program, ...args] = launchCommand(entry, request)
  const { status } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`${method} on ${threads} threads ended with exit code ${status}`)
  return JSON.parse(readFileSync(result, 'utf8')) as ScaleRun
}
