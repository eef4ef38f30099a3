/** For the test of kill -9: appends scalars to the spool at the path given, and tells the step of each that is kept. */
import { openSpool } from '../../daemon/spool.ts'

const run = { runId: 'run-a', attempt: 1 }
const spool = openSpool(process.argv[2]!)
spool.open(run)
for (let step = 1; ; step++) {
  spool.append([{ ...run, timeMs: step, body: { kind: 'scalars', step, values: { 'train/loss': step } } }])
  console.log(step)
}
