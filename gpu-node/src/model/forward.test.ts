import { readFileSync } from 'node:fs'
import { RankscopeError } from '@rankscope/protocol'
import { memory, type Tensor, tidy } from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { selectBackend } from '../backends/select.ts'
import { evaluationBatch } from '../data/batch.ts'
import { readTokenFile } from '../data/token-file.ts'
import { valueAndGradients } from '../ops/gradients.ts'
import { sharedMissing, sharedPath } from '../testing/shared-material.ts'
import { loss, sequenceLogits } from './llama.ts'
import { loadModel, type Model } from './model.ts'
import { openSafetensors, readFloat64 } from './safetensors.ts'

interface Golden {
  examples: {
    data_line_index: number
    logits_positions: number[]
    loss_float64: number
    loss_tokens: number
    weight_gradients: Record<
      string,
      {
        shape_out_in: [number, number]
        frobenius_norm_float64: number
        sampled_row_out: number[]
        sampled_col_in: number[]
        sampled_float64: number[]
      }
    >
  }[]
  tolerance: Record<
    'logits_max_abs' | 'loss_relative' | 'gradient_frobenius_relative' | 'sampled_entry_abs_over_frobenius',
    number
  >
}

describe.each(['stories260K', 'TinyStories-656K'])(
  'forward and gradients of %s against a float64 reference',
  (name) => {
    // The cases are counted by reading the material, which a skipped describe would do all the same.
    if (sharedMissing) return void it.skip(sharedMissing, () => {})
    describe.each(['cpu', 'wasm', 'native'] as const)('on %s', (backend) => {
      const golden = JSON.parse(
        readFileSync(sharedPath(`golden/forward/${name}/expected.json`), 'utf8'),
      ) as Golden
      const { tensors } = openSafetensors(sharedPath(`golden/forward/${name}/tensors.safetensors`))
      let model: Model | null = null
      let unavailable = ''
      beforeAll(async () => {
        try {
          await selectBackend(backend, { threads: 1 })
          model = loadModel(sharedPath(`data/models/${name}`))
        } catch (error) {
          if (!(error instanceof RankscopeError && error.code === 'BACKEND_UNAVAILABLE')) throw error
          unavailable = error.message
        }
        return () => model?.dispose()
      })
      const file = sharedPath(`golden/data/gsm8k_${name}_a.jsonl`)

      it.for(golden.examples.map((_, index) => index))('example %i', async (index, context) => {
        if (!model) return context.skip(unavailable)
        const loaded = model
        const { tolerance } = golden
        const expected = golden.examples[index]!
        const { examples } = await readTokenFile(file, { vocabularySize: 2048, maxLength: 512 })
        const example = examples[expected.data_line_index]!
        const ids = example.inputIds
        loaded.rope.upTo(ids.length)
        const before = memory().numTensors

        const logits = sequenceLogits(loaded, ids, { batch: 1, sequence: ids.length })
        const reference = readFloat64(tensors.get(`example${index}.logits_float64`)!)
        const width = loaded.config.vocabularySize
        const values = await logits.data()
        logits.dispose()
        let worst = 0
        expected.logits_positions.forEach((position, row) => {
          for (let j = 0; j < width; j++)
            worst = Math.max(worst, Math.abs(values[position * width + j]! - reference[row * width + j]!))
        })
        expect(worst).toBeLessThan(tolerance.logits_max_abs)

        const batch = evaluationBatch([example], 0)
        expect(batch.lossTokens).toEqual([expected.loss_tokens])
        const modules = Object.entries(expected.weight_gradients)
        const variables = modules.map(([module]) => loaded.weight(`${module}.weight`))
        const { value, gradients } = valueAndGradients(() => {
          const result = loss(loaded, batch)
          result.perToken.dispose()
          return result.loss
        }, variables)
        expect(Math.abs((await value.data())[0]! / expected.loss_float64 - 1)).toBeLessThan(
          tolerance.loss_relative,
        )
        for (const [i, [, entry]] of modules.entries()) {
          const gradient = (await (gradients[i] as Tensor).data()) as Float32Array
          const [outputs] = entry.shape_out_in
          const norm = Math.sqrt(gradient.reduce((total, x) => total + x * x, 0))
          expect(Math.abs(norm / entry.frobenius_norm_float64 - 1)).toBeLessThan(
            tolerance.gradient_frobenius_relative,
          )
          entry.sampled_float64.forEach((sample, s) => {
            const found = gradient[entry.sampled_col_in[s]! * outputs + entry.sampled_row_out[s]!]!
            expect(Math.abs(found - sample) / norm).toBeLessThan(tolerance.sampled_entry_abs_over_frobenius)
          })
        }
        tidy(() => [value, ...gradients].forEach((tensor) => void tensor.dispose()))
        expect(memory().numTensors).toBe(before)
      })
    })
  },
)
