/** The process of one rank of a run, started by an MPI launcher with the path of its order. */
import { readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { errorPayload } from '@rankscope/protocol'
import { openMpi } from '../collectives/mpi.ts'
import type { RunOutcome } from './environment.ts'
import { MessageReader, writeMessage } from './rank-messages.ts'
import type { FromRank, RankOrder, ToRank } from './ranks.ts'
import { executeRun, RunControl } from './run.ts'

const order = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as RankOrder
const control = new RunControl()
let flushed = () => {}
const reader = new MessageReader((value) => {
  const message = value as ToRank
  if (message.type === 'request') control.request(message.request)
  else flushed()
})
const socket = createConnection(order.socket)
socket.on('data', (part) => reader.push(part))
// Without the process that started the job there is nobody to tell; leaving ends the whole job.
let finished = false
socket.on('close', () => {
  if (!finished) process.exit(1)
})
// A broken connection is followed by its close.
socket.on('error', () => undefined)
const tell = (message: FromRank) => writeMessage(socket, message)

let rank = Number(process.env['OMPI_COMM_WORLD_RANK'] ?? process.env['PMI_RANK'] ?? 0)
let outcome: RunOutcome
try {
  const collective = openMpi(order.config.parallel.devices)
  rank = collective.rank
  tell({ type: 'hello', rank })
  outcome = await executeRun(order.config, {
    ...order.environment,
    control,
    collective,
    recordsKept: () =>
      new Promise((resolve) => {
        flushed = resolve
        tell({ type: 'flush' })
      }),
    emit: (body) => {
      if (rank === 0) tell({ type: 'record', body })
    },
  })
  if (outcome.state !== 'failed') await collective.close()
} catch (error) {
  outcome = { state: 'failed', steps: 0, error: errorPayload(error) }
}
finished = true
tell({ type: 'outcome', rank, outcome })
// A rank that failed must not wait for the others: its exit code makes the launcher end them.
socket.end(() => process.exit(outcome.state === 'failed' ? 1 : 0))
