/**
 * The records of a headless run as files: one JSON object per line. Numbers that JSON cannot spell (NaN, infinities)
 * are written as strings.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import {
  fromFloat64Bytes,
  type RecordBody,
  type RunConfig,
  toJsonNumber,
  whileWriting,
} from '@rankscope/protocol'
import { writeJsonFile } from '../model/save.ts'
import type { RunOutcome } from '../run/run.ts'

const names = ['metrics', 'spectra', 'samples', 'log'] as const

export class RunFiles {
  readonly #folder: string
  readonly #files: Record<(typeof names)[number], number>
  /** After a write that failed, which ends the run, nothing more is written. */
  #hasFailed = false
  #start: Extract<RecordBody, { kind: 'start' }> | null = null

  /** `append`: a resumed run goes on in the files of the run before. */
  constructor(folder: string, { append }: { append: boolean }) {
    this.#folder = folder
    const open = (name: string) => openSync(this.#pathOf(name), append ? 'a' : 'w')
    this.#files = Object.fromEntries(names.map((name) => [name, open(name)])) as Record<
      (typeof names)[number],
      number
    >
  }

  /** Throws what the system says, once: DISK_FULL or FILE_UNUSABLE, with the file’s name. */
  write(body: RecordBody): void {
    if (this.#hasFailed) return
    switch (body.kind) {
      case 'scalars':
        this.#line('metrics', { step: body.step, ...body.values })
        break
      case 'spectrum': {
        const { kind: _, singularValues, ...rest } = body
        this.#line('spectra', { ...rest, singularValues: [...fromFloat64Bytes(singularValues)] })
        break
      }
      case 'sample': {
        const { kind: _, ...rest } = body
        this.#line('samples', rest)
        break
      }
      case 'start':
        this.#start = body
        this.#line('log', body)
        break
      case 'evaluation':
      case 'checkpoint':
      case 'artifact':
      case 'log':
      case 'lifecycle':
        this.#line('log', body)
        break
      case 'phase':
      case 'summary':
        break
      default:
        body satisfies never
    }
  }

  /** Writes summary.json: how the run ended, with its figures and the configuration that it had. */
  close(config: RunConfig, outcome: RunOutcome): void {
    for (const file of Object.values(this.#files)) closeSync(file)
    const summary = outcome.state === 'finished' ? outcome.summary : null
    const error = outcome.state === 'failed' ? outcome.error : null
    const content = { state: outcome.state, steps: outcome.steps, error, summary, start: this.#start, config }
    writeJsonFile(join(this.#folder, 'summary.json'), speakable(content))
  }

  #pathOf(name: string): string {
    return join(this.#folder, `${name}.jsonl`)
  }

  /** A whole line or none. */
  #line(name: (typeof names)[number], value: object): void {
    const file = this.#files[name]
    const line = Buffer.from(`${JSON.stringify(speakable(value))}\n`)
    const { size } = fstatSync(file)
    try {
      whileWriting(this.#pathOf(name), () => {
        for (let done = 0; done < line.length; ) done += writeSync(file, line, done)
      })
    } catch (error) {
      this.#hasFailed = true
      ftruncateSync(file, size)
      throw error
    }
  }
}

/** The same with NaN and infinities as strings. */
function speakable(value: unknown): unknown {
  if (typeof value === 'number') return toJsonNumber(value)
  if (Array.isArray(value)) return value.map(speakable)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, speakable(inner)]))
}
