/** Tables as one writes them: Markdown, LaTeX (booktabs) and CSV. Pure. */

export type Table = {
  columns: readonly string[]
  rows: readonly (readonly string[])[]
  /** Which columns hold numbers, and are aligned to the right. */
  numeric?: readonly boolean[]
  caption?: string
}

export function toMarkdown({ columns, rows, numeric, caption }: Table): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  const rule = columns.map((_, index) => (numeric?.[index] ? '---:' : '---'))
  const text = [line(columns), line(rule), ...rows.map(line)].join('\n')
  return caption === undefined ? `${text}\n` : `${text}\n\n${caption}\n`
}

/** A `table` environment for the booktabs package. */
export function toLatex({ columns, rows, numeric, caption }: Table): string {
  const line = (cells: readonly string[]) => `${cells.map(escapeLatex).join(' & ')} \\\\`
  const alignment = columns.map((_, index) => (numeric?.[index] ? 'r' : 'l')).join('')
  return [
    '\\begin{table}',
    '\\centering',
    ...(caption === undefined ? [] : [`\\caption{${escapeLatex(caption)}}`]),
    `\\begin{tabular}{${alignment}}`,
    '\\toprule',
    line(columns),
    '\\midrule',
    ...rows.map(line),
    '\\bottomrule',
    '\\end{tabular}',
    '\\end{table}',
    '',
  ].join('\n')
}

const latexWords: Record<string, string> = {
  '\\': '\\textbackslash{}',
  '&': '\\&',
  '%': '\\%',
  $: '\\$',
  '#': '\\#',
  _: '\\_',
  '{': '\\{',
  '}': '\\}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '±': '$\\pm$',
  Δ: '$\\Delta$',
  '‖': '$\\Vert$',
  '−': '$-$',
  '×': '$\\times$',
  '…': '\\ldots{}',
}

function escapeLatex(text: string): string {
  return text.replace(/[\\&%$#_{}~^±Δ‖−×…]/g, (character) => latexWords[character]!).replaceAll('\n', ' ')
}

/** RFC 4180, with a line end after each row; a cell that a spreadsheet would take for a formula is kept as text. */
export function toCsv({ columns, rows }: Table): string {
  return [columns, ...rows].map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('')
}

function csvCell(cell: string): string {
  const isFormula = /^[=+\-@\t\r]/.test(cell) && Number.isNaN(Number(cell))
  const text = isFormula ? `'${cell}` : cell
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
