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
import { cutLines } from './resumed-lines.ts'

const names = ['metrics', 'spectra', 'samples', 'log'] as const

type FileName = (typeof names)[number]

export class RunFiles {
  readonly #folder: string
  readonly #files = new Map<FileName, number>()
  /** After a write that failed, which ends the run, nothing more is written. */
  #hasFailed = false
  #start: Extract<RecordBody, { kind: 'start' }> | null = null
  /** Records of a resumed run until it says where it starts; null once it has. */
  #held: RecordBody[] | null
  /** What the files say of the step that a resumed run starts at: an evaluation of it is told again. */
  readonly #said = new Set<string>()
  #startStep = -1

  /** `resumed`: the run goes on in the files of the run before, which stay as they are until it starts. */
  constructor(folder: string, { resumed }: { resumed: boolean }) {
    this.#folder = folder
    this.#held = resumed ? [] : null
    if (!resumed) this.#open('w')
  }

  /** Throws what the system says, once: DISK_FULL or FILE_UNUSABLE, with the file’s name. */
  write(body: RecordBody): void {
    if (this.#hasFailed) return
    if (this.#held === null) this.#write(body)
    else {
      this.#held.push(body)
      if (body.kind === 'start') this.#goOn(body.startStep)
    }
  }

  #write(body: RecordBody): void {
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
    if (this.#held !== null) this.#release() // it failed before it started
    for (const file of this.#files.values()) closeSync(file)
    const summary = outcome.state === 'finished' ? outcome.summary : null
    const error = outcome.state === 'failed' ? outcome.error : null
    const content = { state: outcome.state, steps: outcome.steps, error, summary, start: this.#start, config }
    writeJsonFile(join(this.#folder, 'summary.json'), speakable(content))
  }

  #pathOf(name: FileName): string {
    return join(this.#folder, `${name}.jsonl`)
  }

  #open(flags: 'a' | 'w'): void {
    for (const name of names) this.#files.set(name, openSync(this.#pathOf(name), flags))
  }

  /** Takes back what the files say beyond the first step, then writes what was held. */
  #goOn(step: number): void {
    let unreadable = 0
    for (const name of names) {
      const counts = cutLines(this.#pathOf(name), step, (line) => {
        if (line['step'] === step) this.#said.add(identity(name, line))
      })
      unreadable += counts.unreadable
    }
    this.#startStep = step
    this.#release()
    if (unreadable > 0) {
      const message = `${unreadable} incomplete lines of the run before were dropped from its files`
      this.#write({ kind: 'log', level: 'warning', message })
    }
  }

  #release(): void {
    this.#open('a')
    const held = this.#held ?? []
    this.#held = null
    for (const body of held) this.#write(body)
  }

  /** A whole line or none. */
  #line(name: FileName, value: object): void {
    if (this.#hasFailed) return
    const told = speakable(value) as Record<string, unknown>
    if (told['step'] === this.#startStep && this.#said.has(identity(name, told))) return
    const file = this.#files.get(name)!
    const line = Buffer.from(`${JSON.stringify(told)}\n`)
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

/** What a line is about, its step aside. */
function identity(name: FileName, line: Record<string, unknown>): string {
  switch (name) {
    case 'metrics':
      return `metrics ${Object.keys(line).sort().join()}`
    case 'spectra':
      return `spectra ${line['module']} ${line['part']} ${line['final']}`
    case 'samples':
      return `samples ${line['index']}`
    case 'log':
      return `log ${line['kind']}`
    default:
      return name satisfies never
  }
}

/** The same with NaN and infinities as strings. */
function speakable(value: unknown): unknown {
  if (typeof value === 'number') return toJsonNumber(value)
  if (Array.isArray(value)) return value.map(speakable)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, speakable(inner)]))
}
