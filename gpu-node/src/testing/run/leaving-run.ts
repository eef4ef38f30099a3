/**
 * A run with ranks, for `ranks.test.ts`, by the configuration and folder of its arguments. Leaves, as a run's process
 * does whose daemon has gone, when the file `started` is in the folder; with a third argument it stays.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { runConfigSchema } from '@rankscope/protocol'
import { RunControl } from '../../run/environment.ts'
import { runRanks } from '../../run/ranks.ts'

const [config, folder, stays] = process.argv.slice(2) as [string, string, string | undefined]
void runRanks(runConfigSchema.parse(JSON.parse(config)), {
  roots: { models: [], data: [], anywhere: true },
  folder: join(folder, 'run'),
  cacheFolder: null,
  threads: 1,
  memoryBytes: null,
  checkpointFrom: null,
  control: new RunControl(),
  emit: (body) => {
    if (body.kind === 'scalars') process.stdout.write(`step ${body.step}\n`)
  },
})
if (stays === undefined)
  setInterval(() => {
    if (existsSync(join(folder, 'started'))) process.exit(0)
  }, 5)
