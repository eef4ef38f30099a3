/** How the demo shows runs in a terminal: a line per run while they train, a table when all have ended. Pure. */
import { fromJsonNumber, type JsonNumber, methodLabel, type RunView, scalarNames } from '@rankscope/protocol'

const missing = '–'
const barWidth = 16

/** One run in one line of text, e.g. `HD-PiSSA (sum, K = 4)  ██████░░░░  48/128  loss 0.412  accuracy 61 %`. */
export function progressLine(run: RunView): string {
  const label = methodLabel(run.config).padEnd(24)
  const steps = run.totalSteps === null ? '' : `${run.step}/${run.totalSteps}`.padStart(9)
  const share = run.totalSteps === null ? 0 : run.step / run.totalSteps
  const figures = [
    figure('loss', run.latest[scalarNames.trainLoss], (loss) => loss.toFixed(3)),
    figure('accuracy', run.latest[scalarNames.accuracy], percent),
    figure('tokens/s', run.latest[scalarNames.tokensPerSecond], thousands),
  ].filter((text) => text !== null)
  return [label, bar(share), steps, stateOf(run).padEnd(17), ...figures].join('  ').trimEnd()
}

/** The closing table: the four methods side by side. */
export function comparisonTable(runs: readonly RunView[]): string {
  const head = [
    'method',
    'final loss',
    'accuracy',
    'effective rank of ΔW',
    'trainable parameters',
    'tokens/s',
  ]
  const rows = runs.map((run) => [
    methodLabel(run.config),
    summary(run, 'finalLoss', (loss) => loss.toFixed(4)),
    summary(run, 'accuracy', percent),
    summary(run, 'effectiveRank', (rank) => rank.toFixed(1)),
    summary(run, 'trainableParameters', thousands),
    summary(run, 'tokensPerSecond', thousands),
  ])
  return alignedTable([head, ...rows])
}

/** Columns as wide as their widest cell; the first is aligned left, figures right. */
function alignedTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
      .join('   '),
  )
  const rule = widths.map((width) => '─'.repeat(width)).join('   ')
  return [lines[0]!, rule, ...lines.slice(1)].join('\n')
}

function stateOf(run: RunView): string {
  if (run.error !== null) return `failed: ${run.error.code}`
  return run.state === 'running' ? (run.phase?.phase ?? 'running') : run.state
}

function figure(
  label: string,
  value: JsonNumber | undefined,
  format: (value: number) => string,
): string | null {
  return value === undefined ? null : `${label} ${format(fromJsonNumber(value))}`
}

function summary(run: RunView, name: string, format: (value: number) => string): string {
  const value = run.summary?.[name]
  return value === undefined || value === null ? missing : format(fromJsonNumber(value))
}

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * barWidth)
  return '█'.repeat(filled) + '░'.repeat(barWidth - filled)
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

/** Digits in groups of three, apart by spaces. */
function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US').replaceAll(',', ' ')
}
