/** GPT-2's printable stand-in for each of the 256 bytes: the characters that byte-level tokenizers are spelled in. */

/** Printable Latin-1 characters stand for themselves, the other bytes for characters from U+0100 upward. */
export const byteCharacters: readonly string[] = makeByteCharacters()

/** The byte that a character stands for. */
export const characterBytes: ReadonlyMap<string, number> = new Map(
  byteCharacters.map((character, byte) => [character, byte]),
)

/** The bytes of `text` in UTF-8, each as its character. */
export function spellBytes(text: string): string {
  return Array.from(Buffer.from(text, 'utf8'), (byte) => byteCharacters[byte]).join('')
}

function makeByteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++))
}
