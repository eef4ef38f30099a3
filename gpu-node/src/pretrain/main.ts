/**
 * `npm run base-model`: makes the base model that the repository ships, or another one like it.
 *
 *   node launch/launch.mjs gpu-node/src/pretrain/main.ts --out models/rankscope-mini --seed 1 --tokens 5000000
 */
import { parseArgs } from 'node:util'
import { errorPayload, RankscopeError } from '@rankscope/protocol'
import { selectBackend } from '../backends/select.ts'
import { pretrain } from './pretrain.ts'

const help = `usage: npm run base-model -- --out FOLDER [--seed N] [--tokens N] [--threads N]

  --out      folder for the model (made where absent)
  --seed     seed of text, tokenizer and weights; default 1
  --tokens   tokens of text to train on; default 5000000
  --threads  CPU threads; default 2`

function wholeNumber(name: string, text: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new RankscopeError('CONFIG_INVALID', `--${name} ${text} is not a whole number`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      seed: { type: 'string', default: '1' },
      tokens: { type: 'string', default: '5000000' },
      threads: { type: 'string', default: '2' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help || values.out === undefined) {
    console.log(help)
    process.exitCode = values.help ? 0 : 2
    return
  }
  const [seed, tokens, threads] = (['seed', 'tokens', 'threads'] as const).map((name) =>
    wholeNumber(name, values[name]),
  ) as [number, number, number]
  const backend = await selectBackend('auto', { threads })
  console.log(`backend ${backend.name}, ${backend.threads} threads (${backend.description})`)
  const started = performance.now()
  let seen = 0
  await pretrain({
    folder: values.out,
    seed,
    tokens,
    onStep({ step, loss, tokens: count }, totalSteps) {
      seen += count
      if (step % 500 !== 0 && step !== totalSteps) return
      const seconds = (performance.now() - started) / 1000
      console.log(
        `step ${step}/${totalSteps}  loss ${loss.toFixed(4)}  ${Math.round(seen / seconds)} tokens/s`,
      )
    },
  })
}

main().catch((error: unknown) => {
  const { message, hint } = errorPayload(error)
  console.error(hint ? `${message}\n${hint}` : message)
  process.exitCode = 1
})
