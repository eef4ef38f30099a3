/**
 * A plot of points and lines as SVG for print: vectors and text only, no script, no style sheet, a white ground, the caption
 * inside, so that it goes into a PDF as it is. For the command line and the server, which have no browser. Pure.
 */

export type PlotPoint = { x: number; y: number }
export type PlotSeries = {
  name: string
  /** Single observations. */
  dots: readonly PlotPoint[]
  /** Joined in the order given; `low` and `high` make a band. */
  line?: readonly (PlotPoint & { low?: number; high?: number })[]
  /** Marked by a star. */
  marked?: readonly PlotPoint[]
  /** y of what has no x: a dashed line across. */
  level?: number | null
  /** x of observations without a value, told by crosses at the foot. */
  lost?: readonly number[]
}
type Axis = {
  title: string
  log?: boolean
  /** Values that are marked: those that were tried. Else round ones are. */
  at?: readonly number[]
}
export type Plot = { title: string; caption: string; x: Axis; y: Axis; series: readonly PlotSeries[] }

const width = 760
const plotHeight = 400
const box = { left: 70, right: 20, top: 40 }
/** After Okabe & Ito (2008), dark enough for paper. */
const colours = ['#0072b2', '#d47f00', '#00845f', '#c2410c', '#a3478f', '#5b4bc4', '#757500', '#566270']

export function plotSvg({ title, caption, x, y, series }: Plot): string {
  const xs = series.flatMap(({ dots, line = [], lost = [] }) =>
    [...dots, ...line].map((p) => p.x).concat(lost),
  )
  const ys = series.flatMap(({ dots, line = [], level }) => [
    ...(level == null ? [] : [level]),
    ...dots.map((point) => point.y),
    ...line.flatMap((point) => [point.y, point.low ?? point.y, point.high ?? point.y]),
  ])
  const legend = legendRows(series.map(({ name }) => name))
  const bottom = box.top + 20 * legend.length + plotHeight
  const horizontal = scale(xs, x.log ?? false, box.left, width - box.right, x.at)
  const vertical = scale(ys, y.log ?? false, bottom, box.top + 20 * legend.length + 6)
  const words = wrapText(caption, 118)
  const height = bottom + 62 + 16 * words.length
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#1f2933">`,
    `<title>${escapeXml(title)}</title><desc>${escapeXml(caption)}</desc>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    text(box.left, 22, title, 'font-size="15" font-weight="bold"'),
    ...legend.flatMap((row, index) =>
      row.flatMap(({ at, name, number }) => [
        `<circle cx="${at + 5}" cy="${box.top + 20 * index + 2}" r="5" fill="${colourOf(number)}"/>`,
        text(at + 15, box.top + 20 * index + 6, name),
      ]),
    ),
    ...horizontal.ticks.flatMap(({ at, label }) => [
      `<line x1="${n(at)}" y1="${bottom}" x2="${n(at)}" y2="${n(vertical.end)}" stroke="#e4e7eb"/>`,
      text(at, bottom + 18, label, 'text-anchor="middle"'),
    ]),
    ...vertical.ticks.flatMap(({ at, label }) => [
      `<line x1="${box.left}" y1="${n(at)}" x2="${width - box.right}" y2="${n(at)}" stroke="#e4e7eb"/>`,
      text(box.left - 8, at + 4, label, 'text-anchor="end"'),
    ]),
    `<path d="M${box.left} ${n(vertical.end)}V${bottom}H${width - box.right}" fill="none" stroke="#52606d"/>`,
    text((box.left + width - box.right) / 2, bottom + 38, x.title, 'text-anchor="middle"'),
    `<g transform="translate(18 ${n((bottom + vertical.end) / 2)}) rotate(-90)">${text(0, 0, y.title, 'text-anchor="middle"')}</g>`,
    ...series.flatMap((each, number) =>
      drawSeries(each, colourOf(number), horizontal.place, vertical.place, bottom),
    ),
    ...words.map((line, index) => text(box.left, bottom + 62 + 16 * index, line, 'fill="#52606d"')),
    '</svg>\n',
  ]
  return parts.join('\n')
}

function drawSeries(
  { dots, line = [], level = null, marked = [], lost = [] }: PlotSeries,
  colour: string,
  px: (value: number) => number | null,
  py: (value: number) => number | null,
  foot: number,
): string[] {
  const at = ({ x, y }: PlotPoint) => {
    const [left, top] = [px(x), py(y)]
    return left === null || top === null ? [] : [`${n(left)} ${n(top)}`]
  }
  const path = line.flatMap(at)
  const edge = (pick: (point: (typeof line)[number]) => number | undefined) =>
    line.flatMap((point) => at({ x: point.x, y: pick(point) ?? point.y }))
  const across = level === null ? null : py(level)
  const hasBand = line.some(({ low, high }) => low !== undefined && high !== undefined && high > low)
  const band = hasBand ? [...edge(({ high }) => high), ...edge(({ low }) => low).reverse()] : []
  return [
    ...(band.length > 2 ? [`<path d="M${band.join('L')}Z" fill="${colour}" fill-opacity="0.15"/>`] : []),
    ...(path.length > 1
      ? [
          `<path d="M${path.join('L')}" fill="none" stroke="${colour}" stroke-width="2" stroke-linejoin="round"/>`,
        ]
      : []),
    ...(across === null
      ? []
      : [
          `<path d="M${box.left} ${n(across)}H${width - box.right}" fill="none" stroke="${colour}" stroke-width="2" stroke-dasharray="6 4"/>`,
        ]),
    ...dots.flatMap(at).map((place) => {
      const [left, top] = place.split(' ')
      return `<circle cx="${left}" cy="${top}" r="3" fill="${colour}" fill-opacity="0.7"/>`
    }),
    ...marked.flatMap(at).map((place) => `<path d="${star(place)}" fill="${colour}" stroke="#ffffff"/>`),
    ...lost.flatMap((value) => {
      const left = px(value)
      if (left === null) return []
      const top = foot - 8
      return [
        `<path d="M${n(left - 4)} ${top - 4}l8 8m0 -8l-8 8" stroke="${colour}" stroke-width="2" fill="none"/>`,
      ]
    }),
  ]
}

type Scale = {
  /** null: it has no place on a logarithmic axis, or is no finite number. */
  place: (value: number) => number | null
  ticks: { at: number; label: string }[]
  end: number
}

/** From values to places between `from` and `to`, with a little room at both ends. */
function scale(
  values: readonly number[],
  log: boolean,
  from: number,
  to: number,
  at?: readonly number[],
): Scale {
  const usable = values.filter((value) => Number.isFinite(value) && (!log || value > 0))
  const map = (value: number) => (log ? Math.log10(value) : value)
  let low = usable.length === 0 ? 0 : usable.reduce((least, value) => Math.min(least, map(value)), Infinity)
  let high = usable.length === 0 ? 1 : usable.reduce((most, value) => Math.max(most, map(value)), -Infinity)
  if (low === high)
    [low, high] = log
      ? [low - 0.3, high + 0.3]
      : [low - Math.abs(low || 1) / 10, high + Math.abs(high || 1) / 10]
  const room = (high - low) * 0.04
  ;[low, high] = [low - room, high + room]
  const placeMapped = (mapped: number) => from + ((mapped - low) / (high - low)) * (to - from)
  const marks = at ?? (log ? logTicks(low, high) : linearTicks(low, high))
  return {
    place: (value) => (Number.isFinite(value) && (!log || value > 0) ? placeMapped(map(value)) : null),
    ticks: marks.map((value) => ({ at: placeMapped(map(value)), label: tickText(value) })),
    end: to,
  }
}

function linearTicks(low: number, high: number): number[] {
  const raw = (high - low) / 5
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw)!
  const first = Math.ceil(low / step)
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) => (first + index) * step)
}

/** Decades, with 2 and 5 between them where there are few. */
function logTicks(low: number, high: number): number[] {
  const factors = high - low > 3 ? [1] : [1, 2, 5]
  const ticks: number[] = []
  for (let power = Math.floor(low); power <= Math.ceil(high); power++)
    for (const factor of factors) {
      const value = factor * 10 ** power
      if (Math.log10(value) >= low && Math.log10(value) <= high) ticks.push(value)
    }
  return ticks
}

function tickText(value: number): string {
  const tidy = Number(value.toPrecision(6))
  const size = Math.abs(tidy)
  const shown =
    size !== 0 && (size < 1e-3 || size >= 1e5) ? tidy.toExponential().replace('e+', 'e') : String(tidy)
  return shown.replace('-', '−')
}

/** Names side by side, as many rows as they need. */
function legendRows(names: readonly string[]) {
  const rows: { at: number; name: string; number: number }[][] = [[]]
  let at = box.left
  for (const [number, name] of names.entries()) {
    const size = 28 + 6.6 * name.length
    if (at + size > width - box.right && rows.at(-1)!.length > 0) {
      rows.push([])
      at = box.left
    }
    rows.at(-1)!.push({ at, name, number })
    at += size
  }
  return rows
}

function colourOf(number: number): string {
  return colours[number % colours.length]!
}

function star(place: string): string {
  const [left, top] = place.split(' ').map(Number) as [number, number]
  const corners = Array.from({ length: 10 }, (_, index) => {
    const radius = index % 2 === 0 ? 9 : 3.8
    const angle = -Math.PI / 2 + (index * Math.PI) / 5
    return `${n(left + radius * Math.cos(angle))} ${n(top + radius * Math.sin(angle))}`
  })
  return `M${corners.join('L')}Z`
}

/** Lines of at most so many characters, broken between words. */
export function wrapText(words: string, most: number): string[] {
  const lines: string[] = ['']
  for (const word of words.split(/\s+/)) {
    const line = lines.at(-1)!
    if (line.length + word.length + 1 > most && line !== '') lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${n(x)}" y="${n(y)}" ${attributes}>${escapeXml(content)}</text>`
}

function escapeXml(content: string): string {
  return content
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** Places to a hundredth. */
function n(value: number): string {
  return String(Math.round(value * 100) / 100)
}
