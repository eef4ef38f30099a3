/** Texts of records: messages, prompts, completions. Bounded, and well-formed: half of a character survives no UTF-8. */
import { z } from 'zod'

/** Of one text of a record; three of them and their envelope stay below a frame. */
export const largestTextCharacters = 4 * 2 ** 20

export const longText = z
  .string()
  .max(largestTextCharacters)
  .refine(
    (text) => text.length > largestTextCharacters || !/\p{Cs}/u.test(text),
    'must not hold a lone surrogate',
  )
