/**
 * One line on a terminal that says where a run is. Where the output is no terminal, plain lines: at each phase, at each tenth of
 * the training, and whenever nothing was said for 30 s; with the time left where it can be told from what is done.
 */
import { type RecordBody, scalarNames } from '@rankscope/protocol'
import { duration, timeLeft } from '../run/time-left.ts'

const barWidth = 24
/** Silence beyond this is broken where the output is no terminal. */
const quietMs = 30_000
/** Time left is told once so much of a phase is done. */
const knownFrom = 0.02

export class ProgressLine {
  readonly #output: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>
  #totalSteps = 0
  #phase = ''
  #shownTenth = -1
  readonly #now: () => number
  readonly #timer: NodeJS.Timeout | null
  #saidMs: number
  /** The last thing that there was to say, without the time. */
  #current = ''
  /** Where the phase stood when it was first heard of. */
  #from = { ms: 0, share: 0 }

  constructor(
    output: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>,
    now: () => number = () => performance.now(),
  ) {
    this.#output = output
    this.#now = now
    this.#saidMs = now()
    // While the process computes without a pause no timer has its turn: records break the silence then.
    this.#timer = output.isTTY ? null : setInterval(() => this.#breakSilence(), quietMs / 6)
    this.#timer?.unref()
  }

  show(body: RecordBody): void {
    switch (body.kind) {
      case 'start':
        this.#totalSteps = body.totalSteps
        for (const warning of body.warnings) this.#print(`warning: ${warning}`)
        this.#print(
          `${body.backend}, ${body.threads} threads; ${body.trainableParameters} of ${body.totalParameters} parameters train; ${body.totalSteps} steps`,
        )
        break
      case 'phase':
        if (body.phase === 'training') {
          this.#enter('training', body.progress ?? 0)
          this.#current = 'training'
          break
        }
        this.#showPhase(body.phase, body.progress, body.detail)
        break
      case 'scalars':
        if (body.values[scalarNames.trainLoss] !== undefined) this.#showStep(body.step, body.values)
        break
      case 'evaluation': {
        const parts = [
          ...(body.loss === null ? [] : [`loss ${body.loss.toFixed(4)}`]),
          ...(body.accuracy === null ? [] : [`accuracy ${(100 * body.accuracy).toFixed(1)} %`]),
        ]
        this.#print(`step ${body.step}, ${body.examples} test examples: ${parts.join(', ')}`)
        break
      }
      case 'log':
        if (body.level === 'info') this.#print(body.message)
        else if (body.level !== 'debug') this.#print(`${body.level}: ${body.message}`)
        break
      default:
    }
  }

  /** Leaves the cursor on a line of its own. */
  end(): void {
    if (this.#timer) clearInterval(this.#timer)
    if (this.#output.isTTY) this.#output.write('\r\x1b[K')
  }

  #showStep(step: number, values: Record<string, number>): void {
    const share = this.#totalSteps > 0 ? step / this.#totalSteps : 0
    const loss = values[scalarNames.trainLoss] ?? Number.NaN
    const speed = values[scalarNames.tokensPerSecond] ?? 0
    if (this.#phase !== 'training') this.#enter('training', share)
    const text = `${bar(share)} ${step}/${this.#totalSteps}  loss ${loss.toFixed(4)}  ${Math.round(speed)} tokens/s${this.#left(share)}`
    const tenth = Math.floor(share * 10)
    this.#tell(text, tenth !== this.#shownTenth)
    this.#shownTenth = tenth
  }

  #showPhase(phase: string, progress: number | null, detail: string | null): void {
    const share = progress === null ? '' : ` ${Math.round(progress * 100)} %`
    const isNew = phase !== this.#phase
    if (isNew) this.#enter(phase, progress ?? 0)
    // A phase that knows its work better than its share says so itself.
    const left = progress === null || detail?.endsWith(' left') ? '' : this.#left(progress)
    this.#tell(`${phase.replaceAll('-', ' ')}${share}${detail ? ` (${detail})` : ''}${left}`, isNew)
  }

  #enter(phase: string, share: number): void {
    this.#phase = phase
    this.#from = { ms: this.#now(), share }
  }

  /** From the pace of the phase so far; empty where too little is done to say. */
  #left(share: number): string {
    const { ms, share: first } = this.#from
    if (share - first < knownFrom) return ''
    const left = timeLeft((share - first) / (1 - first), this.#now() - ms)
    return left === null ? '' : `, ${left}`
  }

  /** On a terminal at once; elsewhere where it is due, or nothing was said for long. */
  #tell(text: string, isDue: boolean): void {
    this.#current = text
    if (this.#output.isTTY) this.#output.write(`\r\x1b[K${text}`)
    else if (isDue) this.#print(text)
    else this.#breakSilence()
  }

  #breakSilence(): void {
    if (this.#current === '' || this.#now() - this.#saidMs < quietMs) return
    this.#print(`${this.#current} (for ${duration(this.#now() - this.#from.ms)})`)
  }

  #print(text: string): void {
    this.#saidMs = this.#now()
    this.#output.write(this.#output.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`)
  }
}

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * barWidth)
  return `[${'='.repeat(filled)}${' '.repeat(barWidth - filled)}]`
}
