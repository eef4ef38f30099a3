/** Child process of the crash test: appends without end and says after each commit how far it is. */

import { openSqliteStore } from '../store/sqlite.ts'
import { record, sampleConfig, scalars } from './samples.ts'

const batchSize = 20
const store = await openSqliteStore(process.argv[2]!)
const [run] = await store.createRuns([{ runId: 'run', name: 'run', config: sampleConfig(), createdMs: 0 }])
await store.updateRun('run', run!.revision, { state: 'assigned', nodeId: 'node-a' })
for (let first = 1; ; first += batchSize) {
  const batch = Array.from({ length: batchSize }, (_, index) =>
    record('run', first + index, scalars(first + index, { loss: first + index })),
  )
  await store.append('node-a', batch)
  process.stdout.write(`${first + batchSize - 1}\n`)
}
