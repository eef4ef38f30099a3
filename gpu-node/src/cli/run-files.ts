/** The records of a headless run as files of its folder: one JSON object per line (experiments/src/run-lines.ts). */
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { lineOfRecord, type RunFileName, type RunLine, runFileNames, speakable } from '@rankscope/experiments'
import { type RecordBody, type RunConfig, whileWriting } from '@rankscope/protocol'
import { writeJsonFile } from '../model/save.ts'
import type { RunOutcome } from '../run/run.ts'
import { cutLines } from './resumed-lines.ts'

export class RunFiles {
  readonly #folder: string
  readonly #files = new Map<RunFileName, number>()
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
    if (body.kind === 'start') this.#start = body
    const line = lineOfRecord(body, Date.now())
    if (line) this.#line(line)
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

  #pathOf(name: RunFileName): string {
    return join(this.#folder, `${name}.jsonl`)
  }

  #open(flags: 'a' | 'w'): void {
    for (const name of runFileNames) this.#files.set(name, openSync(this.#pathOf(name), flags))
  }

  /** Takes back what the files say beyond the first step, then writes what was held. */
  #goOn(step: number): void {
    let unreadable = 0
    for (const name of runFileNames) {
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
  #line({ file: name, value: told }: RunLine): void {
    if (this.#hasFailed) return
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
function identity(name: RunFileName, line: Record<string, unknown>): string {
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
