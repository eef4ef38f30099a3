/**
 * MATH: equality of final answers by the string rules of Hendrycks et al. 2021, as MetaMath's evaluation applies
 * them (METHODS 6.4).
 */

/** Content of the last `\boxed{}` or `\fbox{}` of a solution, braces matched; null where there is none. */
export function boxedAnswer(solution: string): string | null {
  const start = Math.max(solution.lastIndexOf('\\boxed'), solution.lastIndexOf('\\fbox'))
  if (start === -1) return null
  let depth = 0
  const open = solution.indexOf('{', start)
  if (open === -1) return null
  for (let i = open; i < solution.length; i++) {
    if (solution[i] === '{') depth++
    if (solution[i] === '}' && --depth === 0) return solution.slice(open + 1, i)
  }
  return null
}

/** After the last "The answer is: ": up to the first full stop that ends a line, without a closing full stop. */
export function statedAnswer(completion: string): string | null {
  const parts = completion.split('The answer is: ')
  if (parts.length < 2) return null
  const answer = ((parts.at(-1) as string).split('.\n')[0] as string).trim()
  return (answer.endsWith('.') ? answer.slice(0, -1) : answer).trim()
}

/** Whether two answers agree after `normalizeAnswer`; where that fails on either, as they stand. */
export function answersAgree(a: string | null, b: string | null): boolean {
  if (a === null || b === null) return a === b
  const [left, right] = [normalizeAnswer(a), normalizeAnswer(b)]
  return left === null || right === null ? a === b : left === right
}

/** The canonical form of an answer, or null where a unit, a root or a fraction is malformed. */
export function normalizeAnswer(answer: string): string | null {
  let text = answer.replaceAll('\n', '').replaceAll('\\!', '').replaceAll('\\\\', '\\')
  text = text.replaceAll('tfrac', 'frac').replaceAll('dfrac', 'frac')
  text = text.replaceAll('\\left', '').replaceAll('\\right', '')
  text = text.replaceAll('^{\\circ}', '').replaceAll('^\\circ', '').replaceAll('\\$', '')
  const withoutUnit = dropUnit(text)
  if (withoutUnit === null) return null
  text = withoutUnit.replaceAll('\\%', '').replaceAll(' .', ' 0.').replaceAll('{.', '{0.')
  if (text === '') return text
  if (text.startsWith('.')) text = `0${text}`
  const sides = text.split('=')
  if (sides.length === 2 && (sides[0] as string).length <= 2) text = sides[1] as string
  if (text.endsWith('\\sqrt')) return null
  text = text.replaceAll(/\\sqrt([^{])/g, '\\sqrt{$1}').replaceAll(' ', '')
  const braced = braceFractions(text)
  if (braced === null) return null
  return slashToFraction(braced === '0.5' ? '\\frac{1}{2}' : braced)
}

/** Cuts at `\text{ `, which begins a unit; null where it appears more than once. */
function dropUnit(text: string): string | null {
  const parts = text.split('\\text{ ')
  return parts.length <= 2 ? (parts[0] as string) : null
}

/** `\frac12` and `\frac1{2}` become `\frac{1}{2}`; null where a fraction has no two parts. */
function braceFractions(text: string): string | null {
  const [head = '', ...fractions] = text.split('\\frac')
  let result = head
  for (const fraction of fractions) {
    result += '\\frac'
    if (fraction.startsWith('{')) {
      result += fraction
      continue
    }
    if (fraction === '') return null
    if (fraction.length < 2) return text
    const [numerator, denominator] = [fraction[0] as string, fraction[1] as string]
    const rest = fraction.slice(2)
    result += denominator === '{' ? `{${numerator}}{${rest}` : `{${numerator}}{${denominator}}${rest}`
  }
  return result
}

/** `a/b` of two whole numbers becomes `\frac{a}{b}`. */
function slashToFraction(text: string): string {
  const found = /^(-?\d+)\/(-?\d+)$/.exec(text)
  if (!found) return text
  const [numerator, denominator] = [Number(found[1]), Number(found[2])]
  return text === `${numerator}/${denominator}` ? `\\frac{${numerator}}{${denominator}}` : text
}
