/** Inputs that once went wrong, each with its right value; the numbers are those of transformers or tokenizers. */
import { describe, expect, it } from 'vitest'
import { faultsMissing, runFault } from '../testing/fault-input.ts'

const failed = (code: string, message: RegExp) => ({
  state: 'failed',
  error: { code, message: expect.stringMatching(message) },
})

describe.skipIf(faultsMissing)(`tokens ${faultsMissing ?? ''}`, () => {
  it.each([
    'tokenizer-appends-eos',
    'tokenizer-appends-eos-control',
    'decode-cleans-spaces',
    'decode-cleans-spaces-control',
  ])(
    'the answers that were learned by heart are all right: %s',
    async (name) => {
      const { outcome, all, warnings } = await runFault(name)
      expect(outcome).toMatchObject({ state: 'finished' })
      expect(all('evaluation').at(-1)?.accuracy).toBe(1)
      expect(warnings.filter((text) => text.includes('puts </s> after every text'))).toHaveLength(
        name === 'tokenizer-appends-eos' ? 1 : 0,
      )
    },
    60_000,
  )

  it.each([
    ['unigram-byte-fallback', 7.0415],
    ['pad-token-outside-vocabulary', 7.5682],
    ['split-merged-with-previous', 7.5306],
  ])('%s trains with loss %f', async (name, loss) => {
    const { outcome, losses } = await runFault(name)
    expect(outcome).toMatchObject({ state: 'finished' })
    expect(losses[0]).toBeCloseTo(loss, 3)
  })

  it('text-token-outside-vocabulary is refused before training', async () => {
    const { outcome, losses } = await runFault('text-token-outside-vocabulary')
    expect(outcome).toMatchObject(
      failed('TOKENIZER_BROKEN', /model\/tokenizer\.json: token "<\|sep\|>" .* id 335, .* vocabulary of 332/),
    )
    expect(losses).toEqual([])
  })
})
