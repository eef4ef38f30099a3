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

describe.skipIf(faultsMissing)(`config.json ${faultsMissing ?? ''}`, () => {
  it('qwen2-layer-types: each layer sees what layer_types says', async () => {
    const { losses } = await runFault('qwen2-layer-types')
    expect(losses[0]).toBeCloseTo(7.225, 3)
  })

  it('rope-old-and-new-keys-disagree is refused with both', async () => {
    const { outcome } = await runFault('rope-old-and-new-keys-disagree')
    expect(outcome).toMatchObject(
      failed('MODEL_BROKEN', /config\.json: rope_.* 500000 .*rope_parameters.* 10000.*contradict/),
    )
  })

  it('tied-flag-but-own-head: the stored head is used, told, and exported', async () => {
    const { losses, warnings } = await runFault('tied-flag-but-own-head')
    expect(losses[0]).toBeCloseTo(6.9973, 3)
    expect(warnings).toEqual([
      expect.stringMatching(/tie_word_embeddings is true, yet lm_head.weight is stored/),
    ])
  })

  it('longer-than-the-context trains, with a warning of both numbers', async () => {
    const { outcome, warnings } = await runFault('longer-than-the-context')
    expect(outcome).toMatchObject({ state: 'finished' })
    expect(warnings).toEqual([
      'the longest training example has 80 tokens; the model was made for 32 (max_position_embeddings in config.json)',
    ])
  })
})
