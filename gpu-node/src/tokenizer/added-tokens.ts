/**
 * Added tokens: texts that are one token wherever they stand, found before anything else cuts the text. Those that are
 * not normalised are looked for in the raw text, the others in the normalised rest; the leftmost longest match wins.
 */
import type { AddedToken } from './definition.ts'
import type { Normalize } from './normalizers.ts'
import { literal, type Piece, wordClass } from './patterns.ts'

export type FoundPiece = Piece & { readonly id: number | null }

const wordBefore = new RegExp(`${wordClass}$`, 'u')
const wordAfter = new RegExp(`^${wordClass}`, 'u')

/** Cuts text at added tokens; what lies between comes back normalised, with no id. */
export function makeTokenFinder(
  tokens: readonly AddedToken[],
  normalize: Normalize,
): (text: string) => FoundPiece[] {
  const raw = makeSplitter(tokens.filter((token) => !token.normalized).map((token) => [token.content, token]))
  const normalized = makeSplitter(
    tokens.filter((token) => token.normalized).map((token) => [normalize(token.content), token]),
  )
  return (text) =>
    raw({ text, atStart: true }).flatMap((piece) =>
      piece.id === null ? normalized({ ...piece, text: normalize(piece.text) }) : [piece],
    )
}

function makeSplitter(tokens: readonly (readonly [text: string, token: AddedToken])[]) {
  const byText = new Map(tokens)
  if (byText.size === 0) return ({ text, atStart }: Piece): FoundPiece[] => [{ text, atStart, id: null }]
  const pattern = literal([...byText.keys()].sort((a, b) => b.length - a.length))
  return ({ text, atStart }: Piece): FoundPiece[] => {
    const pieces: FoundPiece[] = []
    let end = 0
    const push = (from: number, to: number, id: number | null) => {
      if (to > from) pieces.push({ text: text.slice(from, to), atStart: atStart && from === 0, id })
    }
    for (const { 0: found, index } of text.matchAll(pattern)) {
      const token = byText.get(found)!
      let [start, stop] = [index, index + found.length]
      if (token.single_word && !standsAlone(text, start, stop)) continue
      if (token.lstrip) start = Math.max(end, start - trailingSpace(text.slice(end, start)))
      if (token.rstrip) stop += leadingSpace(text.slice(stop))
      push(end, start, null)
      push(start, stop, token.id)
      end = stop
    }
    push(end, text.length, null)
    return pieces
  }
}

function standsAlone(text: string, start: number, stop: number): boolean {
  return !wordBefore.test(text.slice(0, start)) && !wordAfter.test(text.slice(stop))
}

function trailingSpace(text: string): number {
  return /\p{White_Space}*$/u.exec(text)![0].length
}

function leadingSpace(text: string): number {
  return /^\p{White_Space}*/u.exec(text)![0].length
}
