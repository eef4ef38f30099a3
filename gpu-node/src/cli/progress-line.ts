/** One line on a terminal that says where a run is; plain lines now and then where the output is no terminal. */
import { type RecordBody, scalarNames } from '@rankscope/protocol'

const barWidth = 24

export class ProgressLine {
  readonly #output: NodeJS.WriteStream
  #totalSteps = 0
  #phase = ''
  #shownTenth = -1

  constructor(output: NodeJS.WriteStream) {
    this.#output = output
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
        if (body.phase === 'training') break
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
    if (this.#output.isTTY) this.#output.write('\r\x1b[K')
  }

  #showStep(step: number, values: Record<string, number>): void {
    const share = this.#totalSteps > 0 ? step / this.#totalSteps : 0
    const loss = values[scalarNames.trainLoss] ?? Number.NaN
    const speed = values[scalarNames.tokensPerSecond] ?? 0
    const text = `${bar(share)} ${step}/${this.#totalSteps}  loss ${loss.toFixed(4)}  ${Math.round(speed)} tokens/s`
    if (this.#output.isTTY) this.#output.write(`\r\x1b[K${text}`)
    else if (Math.floor(share * 10) !== this.#shownTenth) {
      this.#shownTenth = Math.floor(share * 10)
      this.#output.write(`${text}\n`)
    }
  }

  #showPhase(phase: string, progress: number | null, detail: string | null): void {
    const share = progress === null ? '' : ` ${Math.round(progress * 100)} %`
    const text = `${phase.replaceAll('-', ' ')}${share}${detail ? ` (${detail})` : ''}`
    if (this.#output.isTTY) this.#output.write(`\r\x1b[K${text}`)
    else if (phase !== this.#phase) this.#output.write(`${text}\n`)
    this.#phase = phase
  }

  #print(text: string): void {
    this.#output.write(this.#output.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`)
  }
}

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * barWidth)
  return `[${'='.repeat(filled)}${' '.repeat(barWidth - filled)}]`
}
