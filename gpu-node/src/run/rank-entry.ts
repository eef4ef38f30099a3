/** The process of one rank of a run, started by an MPI launcher with the path of its order. */
import { readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { errorPayload, type RecordBody } from '@rankscope/protocol'
import type { Collective } from '../collectives/collective.ts'
import { openMpi } from '../collectives/mpi.ts'
import { endWithParent } from '../parent-death.ts'
import type { RunOutcome } from './environment.ts'
import type { FromRank, RankOrder, ToRank } from './rank-host.ts'
import { MessageReader, writeMessage } from './rank-messages.ts'
import { executeRun, RunControl } from './run.ts'
import { shareCheckpoint } from './share-checkpoint.ts'

// A rank that is stuck in a native call does not outlive what started it.
endWithParent()
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

// Open MPI's own launcher, MPICH's, and Slurm.
const toldRanks = ['OMPI_COMM_WORLD_RANK', 'PMI_RANK', 'PMIX_RANK'].map((name) => process.env[name])
let rank = Number(toldRanks.find((told) => told !== undefined) ?? 0)
let lastWord: RecordBody | null = null
/** Rank 0 speaks for all. That the run came to its end counts once every rank has. */
const emit = (body: RecordBody) => {
  if (rank !== 0) return
  if (body.kind === 'lifecycle' && body.state !== 'running' && body.state !== 'failed') lastWord = body
  else tell({ type: 'record', body })
}
const run = async (collective: Collective): Promise<RunOutcome> => {
  const { environment, firstRankHere } = order
  const received =
    firstRankHere === null ? {} : await shareCheckpoint(collective, order, firstRankHere, { control, emit })
  return executeRun(order.config, {
    ...environment,
    ...received,
    control,
    collective,
    recordsKept: () =>
      new Promise((resolve) => {
        flushed = resolve
        tell({ type: 'flush' })
      }),
    emit,
  })
}

let outcome: RunOutcome
try {
  tell({ type: 'hello', rank, processId: process.pid })
  const collective = openMpi(order.config.parallel.devices)
  rank = collective.rank
  outcome = await run(collective)
  // Every rank arrives here, or this one never gets further.
  if (outcome.state !== 'failed') await collective.close()
  if (lastWord) tell({ type: 'record', body: lastWord })
} catch (error) {
  outcome = { state: 'failed', steps: 0, error: errorPayload(error) }
}
finished = true
tell({ type: 'outcome', rank, outcome })
// A rank that failed must not wait for the others: its exit code makes the launcher end them.
socket.end(() => process.exit(outcome.state === 'failed' ? 1 : 0))
