/**
 * The folder that a headless run writes to. What an older run left there is never taken for the new one's, and never lost: it
 * moves to `earlier-1`, `earlier-2`, … below, as a whole.
 */
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { RankscopeError, type RunConfig } from '@rankscope/protocol'

/** What a run writes, records first. */
const records = ['metrics.jsonl', 'spectra.jsonl', 'samples.jsonl', 'log.jsonl', 'summary.json'] as const
const folders = ['checkpoints', 'model', 'adapter', 'delta', 'lora'] as const

/**
 * Makes `folder` ready. `resume`: the checkpoint that the run goes on from; where it lies in this folder, so do the records
 * that it continues, and nothing moves. Returns where an older run's files went, or null. Throws CONFIG_INVALID where they
 * cannot move: the new run reads one of them, or they are no run's.
 */
export function prepareOutput(
  folder: string,
  config: Pick<RunConfig, 'model' | 'data'>,
  resume: string | null,
): string | null {
  mkdirSync(folder, { recursive: true })
  if (resume !== null && sameFolder(dirname(resume), join(folder, 'checkpoints'))) return null
  const left = [...records, ...folders].filter((name) => existsSync(join(folder, name)))
  if (left.length === 0) return null
  const wasRun = records.some((name) => left.includes(name)) || hasCheckpoint(join(folder, 'checkpoints'))
  if (!wasRun)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `--out ${folder} holds ${left.join(', ')}, which no run left there`,
      {
        hint: 'A run would overwrite it. Give another folder.',
      },
    )
  for (const name of left) refuseSource(join(folder, name), config, resume)
  const earlier = freeName(folder)
  mkdirSync(earlier)
  for (const name of left) renameSync(join(folder, name), join(earlier, name))
  return earlier
}

/** What is moved away must not be what the run is about to read. */
function refuseSource(
  path: string,
  { model, data }: Pick<RunConfig, 'model' | 'data'>,
  resume: string | null,
): void {
  const { source } = data
  const read = [
    ['model.path', model.path],
    ['data.source.path', 'path' in source ? source.path : null],
    ['data.source.evaluationPath', 'evaluationPath' in source ? source.evaluationPath : null],
    ['--resume', resume],
  ] as const
  for (const [setting, value] of read) {
    if (value === null || !existsSync(resolve(value))) continue
    const inside = relative(realpathSync(path), realpathSync(resolve(value)))
    if (inside === '..' || inside.startsWith(`..${sep}`)) continue
    throw new RankscopeError(
      'CONFIG_INVALID',
      `${setting}: ${value} was left in --out by an older run, whose files would have to move away`,
      { hint: 'Give another folder as --out.' },
    )
  }
}

function hasCheckpoint(folder: string): boolean {
  if (!existsSync(folder)) return false
  return readdirSync(folder).some((name) => /^step-\d+$/.test(name))
}

function freeName(folder: string): string {
  for (let number = 1; ; number++) {
    const path = join(folder, `earlier-${number}`)
    if (!existsSync(path)) return path
  }
}

function sameFolder(a: string, b: string): boolean {
  return existsSync(a) && existsSync(b) && realpathSync(a) === realpathSync(b)
}
