import { expect, it } from 'vitest'
import { pronounceableName } from './names.ts'

it('names are unique for thousands of runs and can be said aloud', () => {
  const names = Array.from({ length: 5000 }, (_, index) => pronounceableName('lora', index))
  expect(new Set(names).size).toBe(5000)
  for (const name of names) expect(name).toMatch(/^lora-[a-z]+-[a-z]+$/)
})
