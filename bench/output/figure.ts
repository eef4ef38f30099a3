/**
 * Spectra as an SVG of panels: singular values on a log axis over their number. Colours follow the reader's light or
 * dark scheme; every curve differs in its dashes as well as in its colour.
 */

export interface Curve {
  readonly label: string
  /** Number of its colour and dashes: 0 to 5, of which 4 is dashed. Curves of one label look the same. */
  readonly look: number
  /** Descending; the curve falls to the axis where they become zero. */
  readonly values: ArrayLike<number>
}

export interface Panel {
  readonly title: string
  readonly curves: readonly Curve[]
  /** Vertical lines at ranks, e.g. 2Kr. */
  readonly marks: readonly { readonly label: string; readonly rank: number }[]
  /** Horizontal lines, e.g. a noise floor. */
  readonly levels: readonly Level[]
}

interface Level {
  readonly label: string
  readonly value: number
  /** Where its label finds room: at the right end, or to the right of the last mark. */
  readonly place: 'end' | 'after-marks'
}

export interface Figure {
  readonly title: string
  /** For those who cannot see it. */
  readonly description: string
  readonly columns: number
  readonly panels: readonly Panel[]
}

/** Okabe and Ito's colours, darker on light and lighter on dark. */
const looks = [
  { light: '#0072b2', dark: '#56b4e9', dashes: '' },
  { light: '#b04a00', dark: '#ff9a4d', dashes: '' },
  { light: '#00785a', dark: '#2fd6a5', dashes: '' },
  { light: '#a0437c', dark: '#eb9bc9', dashes: '' },
  { light: '#5a5a5a', dark: '#b0b0b0', dashes: '7 3' },
  { light: '#8a6d00', dark: '#e6c84b', dashes: '' },
] as const

const size = { width: 400, height: 250, left: 62, right: 14, top: 30, bottom: 40 }
const rowHeight = 16

/** All panels share both axes, so that heights can be compared across them. */
export function spectrumFigure({ title, description, columns, panels }: Figure): string {
  const labels = new Map(panels.flatMap(({ curves }) => curves.map(({ label, look }) => [label, look])))
  const legendColumns = Math.min(labels.size, columns * 2)
  const head = 34 + Math.ceil(labels.size / legendColumns) * rowHeight
  const cell = { width: size.left + size.width + size.right, height: size.top + size.height + size.bottom }
  const [width, height] = [columns * cell.width, head + Math.ceil(panels.length / columns) * cell.height]
  const axes = sharedAxes(panels)
  const legend = [...labels].map(([label, look], i) => {
    const x = 20 + (i % legendColumns) * ((width - 20) / legendColumns)
    const y = 40 + Math.floor(i / legendColumns) * rowHeight
    return `<line class="curve c${look}" x1="${x}" x2="${x + 26}" y1="${y - 4}" y2="${y - 4}"/><text x="${x + 32}" y="${y}">${escaped(label)}</text>`
  })
  const drawn = panels.map((panel, i) => {
    const x = (i % columns) * cell.width + size.left
    const y = head + Math.floor(i / columns) * cell.height + size.top
    return `<g transform="translate(${x} ${y})">${drawPanel(panel, axes)}</g>`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">`,
    `<title id="title">${escaped(title)}</title><desc id="description">${escaped(description)}</desc>`,
    `<style>${styles()}</style>`,
    `<rect class="paper" width="${width}" height="${height}"/>`,
    `<text class="title" x="20" y="20">${escaped(title)}</text>`,
    ...legend,
    ...drawn,
    '</svg>\n',
  ].join('\n')
}

interface Axes {
  readonly count: number
  /** Powers of ten at the ends. */
  readonly low: number
  readonly high: number
}

function sharedAxes(panels: readonly Panel[]): Axes {
  const curves = panels.flatMap((panel) => panel.curves)
  const positive = curves.flatMap(({ values }) => Array.from(values).filter((value) => value > 0))
  const levels = panels.flatMap((panel) => panel.levels.map(({ value }) => value))
  const largest = positive.reduce((most, value) => Math.max(most, value), 0)
  // The last few values of a square matrix of noise fall off steeply and would stretch the axis.
  const sorted = [...positive].sort((a, b) => a - b)
  const smallest = Math.min(sorted[Math.floor(sorted.length / 100)] ?? largest, ...levels)
  return {
    count: Math.max(...curves.map(({ values }) => values.length)),
    low: Math.floor(Math.log10(smallest)),
    high: Math.ceil(Math.log10(largest)),
  }
}

function drawPanel({ title, curves, marks, levels }: Panel, axes: Axes): string {
  const { width, height } = size
  const x = (index: number) => ((index - 0.5) / axes.count) * width
  const y = (value: number) => {
    const share = (Math.log10(value) - axes.low) / (axes.high - axes.low)
    return height - Math.min(1, Math.max(0, share)) * height
  }
  const step = Math.ceil((axes.high - axes.low) / 8)
  const decades = Array.from({ length: axes.high - axes.low + 1 }, (_, i) => axes.low + i)
  const grid = decades.map((power) => {
    const at = y(10 ** power).toFixed(1)
    const line = `<line class="grid" x1="0" x2="${width}" y1="${at}" y2="${at}"/>`
    if ((power - axes.low) % step !== 0) return line
    return `${line}<text class="tick" text-anchor="end" x="-6" y="${(Number(at) + 4).toFixed(1)}">10<tspan class="power" dy="-4">${String(power).replace('-', '−')}</tspan></text>`
  })
  const ticks = tickNumbers(axes.count).map(
    (number) =>
      `<text class="tick" text-anchor="middle" x="${x(number).toFixed(1)}" y="${height + 15}">${number}</text>`,
  )
  const at = (rank: number) => (rank / axes.count) * width
  const near = (a: number, b: number | undefined) => b !== undefined && Math.abs(at(a) - at(b)) < 20
  const verticals = marks.map(({ label, rank }, i) => {
    // Neighbours that are close make room for each other.
    const anchor = near(rank, marks[i + 1]?.rank)
      ? 'end'
      : near(rank, marks[i - 1]?.rank)
        ? 'start'
        : 'middle'
    const place = at(rank).toFixed(1)
    return `<line class="mark" x1="${place}" x2="${place}" y1="0" y2="${height}"/><text class="note" x="${place}" y="-3" text-anchor="${anchor}">${escaped(label)}</text>`
  })
  const horizontals = levels.map(({ value }) => {
    return `<line class="level" x1="0" x2="${width}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/>`
  })
  const levelNames = levels.map(({ label, value, place }) => {
    const [anchor, start] =
      place === 'end' ? ['end', width - 4] : ['start', 6 + Math.max(0, ...marks.map(({ rank }) => at(rank)))]
    return `<text class="note" text-anchor="${anchor}" x="${start.toFixed(1)}" y="${(y(value) - 5).toFixed(1)}">${escaped(label)}</text>`
  })
  const lines = curves.map(({ look, values }) => {
    const positive = Array.from(values).filter((value) => value > 0)
    const points = positive.map((value, i) => `${x(i + 1).toFixed(1)},${y(value).toFixed(1)}`)
    if (positive.length < values.length) points.push(`${x(positive.length + 0.5).toFixed(1)},${height}`)
    return `<polyline class="curve c${look}" points="${points.join(' ')}"/>`
  })
  return [
    `<text class="panel" x="0" y="-16">${escaped(title)}</text>`,
    ...grid,
    ...ticks,
    `<text class="tick" text-anchor="middle" x="${width / 2}" y="${height + 31}">number of the singular value</text>`,
    `<text class="tick" text-anchor="middle" transform="translate(-46 ${height / 2}) rotate(-90)">singular value of ΔW</text>`,
    ...verticals,
    ...horizontals,
    ...lines,
    ...levelNames,
    `<rect class="frame" width="${width}" height="${height}"/>`,
  ].join('')
}

/** 1 and about six round numbers. */
function tickNumbers(count: number): number[] {
  const step = [4, 8, 16, 32, 64, 128, 256, 512, 1024].find((candidate) => count / candidate <= 7) ?? 2048
  return [1, ...Array.from({ length: Math.floor(count / step) }, (_, i) => (i + 1) * step)]
}

function styles(): string {
  const rules = (scheme: 'light' | 'dark') =>
    looks.map((look, i) => `.c${i}{stroke:${look[scheme]}}`).join('')
  const dashes = looks
    .map((look, i) => (look.dashes ? `.c${i}{stroke-dasharray:${look.dashes}}` : ''))
    .join('')
  return [
    'text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-size:14px;font-weight:600}.panel{font-weight:600}',
    '.tick,.note{font-size:11px;fill:#59636e}.power{font-size:8px}.paper{fill:#fff}',
    '.frame{fill:none;stroke:#818b98}.grid{stroke:#818b98;stroke-opacity:.25}',
    '.mark{stroke:#59636e;stroke-dasharray:3 3}.level{stroke:#59636e;stroke-dasharray:1 3}',
    `.curve{fill:none;stroke-width:1.8;stroke-linejoin:round}${dashes}${rules('light')}`,
    '@media (prefers-color-scheme:dark){text{fill:#e6edf3}.tick,.note{fill:#9da7b3}.paper{fill:#0d1117}',
    `.mark,.level{stroke:#9da7b3}${rules('dark')}}`,
  ].join('')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
