/**
 * MATH by the rules of Minerva (Lewkowycz et al. 2022, appendix D), as lm-eval's task minerva_math takes them: what stands
 * between "Final Answer: The final answer is" and "I hope it is correct.", in a normal form.
 */

const end = 'I hope it is correct.'
const invalid = '[invalidanswer]'

/** As it stands in the completion; "[invalidanswer]" where there is none. */
export function finalAnswer(completion: string): string {
  // The full stop of the original pattern stands for any character before the space.
  const found = /Final Answer: The final answer is(.*?). I hope it is correct\./.exec(`${completion}${end}`)
  return found ? found[1]!.trim() : invalid
}

/** Replaced one after the other, everywhere. */
const replaced: readonly (readonly [string, string])[] = [
  ['an ', ''],
  ['a ', ''],
  ['.$', '$'],
  ['\\$', ''],
  ['\\ ', ''],
  [' ', ''],
  ['mbox', 'text'],
  [',\\text{and}', ','],
  ['\\text{and}', ','],
  ['\\text{m}', '\\text{}'],
]

/** Units and ornaments, taken out in this order. */
const removed: readonly string[] = [
  ...['square', 'ways', 'integers', 'dollars', 'mph', 'inches', 'ft', 'hours', 'km', 'units', '\\ldots'],
  ...['sue', 'points', 'feet', 'minutes', 'digits', 'cents', 'degrees', 'cm', 'gm', 'pounds', 'meters'],
  ...['meals', 'edges', 'students', 'childrentickets', 'multiples', '\\text{s}', '\\text{.}'],
  ...['\\text{\ns}', '\\text{}^2', '\\text{}^3', '\\text{\n}', '\\text{}', '\\mathrm{th}', '^\\circ'],
  ...['^{\\circ}', '\\;', ',\\!', '{,}', '"', '\\dots'],
]

/** The normal form in which answers are compared. */
export function normalizeFinalAnswer(answer: string): string {
  let text = answer.split('=').at(-1)!
  for (const [before, after] of replaced) text = text.replaceAll(before, after)
  for (const word of removed) text = text.replaceAll(word, '')
  text = text
    .replaceAll(/(.*?)(\$)(.*?)(\$)(.*)/g, '$$$3$$')
    .replaceAll(/\\text\{(.*?)\}/g, '$1')
    .replaceAll(/\\textbf\{(.*?)\}/g, '$1')
    .replaceAll(/\\overline\{(.*?)\}/g, '$1')
    .replaceAll(/\\boxed\{(.*)\}/g, '$1')
    .replaceAll(/frac([^{])(.)/g, 'frac{$1}{$2}')
    .replaceAll(/sqrt([^{])/g, 'sqrt{$1}')
    .replaceAll('$', '')
  const digits = text.replaceAll(',', '')
  return /^\d+$/.test(digits) ? digits : text
}
