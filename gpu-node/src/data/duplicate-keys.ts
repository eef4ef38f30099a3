/**
 * Keys that occur twice in one object of a JSON text. `JSON.parse` keeps the last and drops the others without a word, and
 * with them what would have been trained on.
 */

/** The first key that occurs twice in one object, or null. `text` is valid JSON and `value` what it parses to. */
export function duplicateKey(text: string, value: unknown): string | null {
  // Counting is all that sound records cost: strings are jumped over.
  return keysWritten(text) === keysKept(value) ? null : findDuplicate(text)
}

/** Strings that a colon follows. */
function keysWritten(text: string): number {
  let keys = 0
  for (let at = text.indexOf('"'); at !== -1; at = text.indexOf('"', at)) {
    at = afterString(text, at)
    if (nextCharacter(text, at) === ':') keys++
  }
  return keys
}

function keysKept(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  if (Array.isArray(value)) {
    // Lists of token ids are long, and hold no keys.
    let keys = 0
    for (const element of value) if (typeof element === 'object') keys += keysKept(element)
    return keys
  }
  let keys = 0
  for (const key of Object.keys(value)) keys += 1 + keysKept((value as Record<string, unknown>)[key])
  return keys
}

function findDuplicate(text: string): string | null {
  const objects: Set<string>[] = []
  const structure = /["{}]/g
  for (let match = structure.exec(text); match; match = structure.exec(text)) {
    if (match[0] === '{') objects.push(new Set())
    else if (match[0] === '}') objects.pop()
    else {
      const end = afterString(text, match.index)
      structure.lastIndex = end
      if (nextCharacter(text, end) !== ':') continue
      const key = JSON.parse(text.slice(match.index, end)) as string
      const keys = objects.at(-1)
      if (keys?.has(key)) return key
      keys?.add(key)
    }
  }
  return null
}

/** Where the string that begins at `start` has ended. */
function afterString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text[end - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return end + 1
  }
  return text.length
}

function nextCharacter(text: string, from: number): string | undefined {
  let at = from
  while (text[at] === ' ' || text[at] === '\t' || text[at] === '\n' || text[at] === '\r') at++
  return text[at]
}
