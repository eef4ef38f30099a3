import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { requireExamples } from './examples.ts'
import { Tally } from './tally.ts'
import { readTokenFile } from './token-file.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'token-file-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const line = (ids: unknown[], labels: unknown[], more: object = {}) =>
  `${JSON.stringify({ input_ids: ids, labels, ...more })}\n`

function read(content: string, maxLength = 8, padTokenId: number | null = null, tally = new Tally()) {
  const file = join(folder, 't.jsonl')
  writeFileSync(file, content)
  return readTokenFile(file, { vocabularySize: 10, maxLength, padTokenId }, tally)
}

const ids = async (content: string) => {
  const { examples } = await read(content)
  return examples.map(({ inputIds, labels }) => [[...inputIds], [...labels]])
}

describe('pre-tokenised files', () => {
  it('keep their order, are cut to the maximum length, and lose examples without a label', async () => {
    const set = await read(
      line([1, 2, 3], [-100, 2, 3]) + line([1, 2, 3, 4], [-100, -100, -100, 4]) + line([5, 6], [-100, 6]),
      3,
    )
    expect(set.examples.map(({ inputIds }) => [...inputIds])).toEqual([
      [1, 2, 3],
      [5, 6],
    ])
    expect(set.origins).toEqual([0, 2])
    expect(set).toMatchObject({ truncated: 0 })
    expect(Object.values(set.skipped)).toEqual([1])
    expect((await read(line([1, 2, 3, 4], [-100, 2, 3, 4]), 3)).truncated).toBe(1)
  })

  it('padding on either side is taken off as the attention mask says', async () => {
    const plain = [
      [
        [1, 2, 3],
        [-100, 2, 3],
      ],
    ]
    const mask = { attention_mask: [0, 0, 1, 1, 1, 0] }
    expect(await ids(line([0, 0, 1, 2, 3, 0], [-100, -100, -100, 2, 3, -100], mask))).toEqual(plain)
    expect(await ids(line([1, 2, 3], [-100, 2, 3], { attention_mask: [true, true, true] }))).toEqual(plain)
    expect(await ids(line([1, 2, 3], [-100, 2, 3], { position_ids: [4, 5, 6] }))).toEqual(plain)
  })

  it('a row that is all padding is counted as skipped', async () => {
    const set = await read(line([0, 0], [-100, -100], { attention_mask: [0, 0] }) + line([1, 2], [-100, 2]))
    expect(set.skipped).toEqual({ 'the attention mask leaves nothing': 1 })
    expect(set.origins).toEqual([1])
  })

  it('rows that begin with padding and have no mask are told', async () => {
    const tally = new Tally()
    await read(line([9, 9, 1, 2], [-100, -100, -100, 2]) + line([9, 1, 2], [-100, -100, 2]), 8, 9, tally)
    expect(tally.notes).toEqual([expect.stringMatching(/^1 of 2 records: begin with the padding token/)])
  })

  it.each([
    [line([1, 2], [1]), /:1: 2 input_ids have 1 labels/],
    [line([1, 12], [1, 2]), /:1: token 12 is outside the vocabulary of 10/],
    [line([1, 2], [1, 10]), /:1: token 10 is outside/],
    [line([1, 2], [1, -1]), /:1: token -1 is outside/],
    [line([-100, 2], [1, 2]), /:1: token -100 is outside/],
    [line([1.5, 2], [1, 2]), /:1: the line is not .* with whole numbers/],
    [line([1, 2], [1, 2.5]), /:1: the line is not/],
    [line(['1', 2], [1, 2]), /:1: the line is not/],
    [line([1, null], [1, 2]), /:1: the line is not/],
    [line([[1, 2]], [[1, 2]]), /:1: the line is not/],
    [line([], []), /:1: the line is not/],
    ['{"input_ids": [1]}\n', /:1: the line is not/],
    ['{"ids": [1]}\n', /:1: the line is not/],
    ['null\n', /:1: the line is not/],
    [line([1, 2], [1, 2], { attention_mask: [1] }), /:1: 2 input_ids have an attention_mask of 1/],
    [line([1, 2], [1, 2], { attention_mask: [1, 2] }), /:1: the attention_mask is no list of 0 and 1/],
    [
      line([1, 2, 3], [1, 2, 3], { attention_mask: [1, 0, 1] }),
      /:1: the attention_mask leaves out positions in the middle/,
    ],
    [
      line([1, 2, 3], [1, 2, 3], { attention_mask: [0, 1, 1] }),
      /:1: a position that the attention_mask leaves out has a label/,
    ],
    [line([1, 2, 3], [1, 2, 3], { position_ids: [0, 1, 0] }), /:1: position_ids do not count on by one/],
  ])('%s is refused with its line', async (content, message) => {
    await expect(read(content)).rejects.toThrow(
      expect.objectContaining({ code: 'DATA_BROKEN', message: expect.stringMatching(message) }),
    )
  })

  it('a file in which no label is left is DATA_EMPTY', async () => {
    await expect(read(line([1, 2], [-100, -100]))).rejects.toThrow(
      expect.objectContaining({ code: 'DATA_EMPTY' }),
    )
    expect(() =>
      requireExamples({ examples: [], origins: [], truncated: 0, skipped: { 'too long': 3 } }, 'task'),
    ).toThrow(/task: no example has a label to train on \(3: too long\)/)
  })
})
