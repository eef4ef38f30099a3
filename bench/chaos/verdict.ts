/** What the faults must not have done to a run: looked up at the server, compared with a run that nobody disturbed. */
import {
  browserNamespace,
  protocolVersion,
  type RunView,
  type StoredRecord,
  scalarNames,
  socketPlace,
  wireParser,
} from '@rankscope/protocol'
import { io } from 'socket.io-client'

/** All records of a run, as they were kept. */
export function recordsOf(url: string, token: string, runId: string): Promise<StoredRecord[]> {
  return new Promise((resolve, reject) => {
    const place = socketPlace(url, browserNamespace)
    const socket = io(place.url, {
      path: place.path,
      parser: wireParser(browserNamespace),
      transports: ['websocket'],
      extraHeaders: { authorization: `Bearer ${token}` },
      auth: { protocolVersion },
      forceNew: true,
    })
    const records: StoredRecord[] = []
    let last = Number.POSITIVE_INFINITY
    const look = () => {
      if ((records.at(-1)?.cursor ?? 0) < last) return
      socket.close()
      resolve(records)
    }
    socket.on('connect_error', reject)
    socket.on('records', (message: { records: StoredRecord[] }) => {
      records.push(...message.records)
      look()
    })
    socket.emit(
      'subscribeRun',
      { runId, afterCursor: 0 },
      (answer: { ok: true; value: { lastCursor: number } } | { ok: false; error: { message: string } }) => {
        if (!answer.ok) return reject(new Error(answer.error.message))
        last = answer.value.lastCursor
        look()
      },
    )
  })
}

/** Loss of each step as charts show it: what an attempt says replaces what older ones said beyond its start. */
export function losses(records: readonly StoredRecord[]): Map<number, number> {
  const byStep = new Map<number, number>()
  for (const { body } of inOrderOfAttempts(records)) {
    if (body.kind === 'start')
      for (const step of [...byStep.keys()]) if (step > body.startStep) byStep.delete(step)
    if (body.kind !== 'scalars') continue
    const loss = body.values[scalarNames.trainLoss]
    if (loss !== undefined) byStep.set(body.step, loss)
  }
  return byStep
}

function inOrderOfAttempts(records: readonly StoredRecord[]): StoredRecord[] {
  return [...records].sort((one, other) => one.attempt - other.attempt || one.seq - other.seq)
}

/** Everything that is wrong with a run, in words. `expected`: the losses of an undisturbed one, in order of steps. */
export function findingsOf(
  run: RunView,
  records: readonly StoredRecord[],
  expected: readonly number[],
): string[] {
  const findings: string[] = []
  if (run.state !== 'finished')
    findings.push(`state ${run.state} (${run.error?.code}: ${run.error?.message})`)
  const lastSeq = new Map<number, number>()
  const seen = new Set<string>()
  for (const { attempt, seq, cursor } of records) {
    const identity = `${attempt}/${seq}`
    if (seen.has(identity)) findings.push(`record ${identity} is kept twice`)
    seen.add(identity)
    const before = lastSeq.get(attempt) ?? 0
    if (seq < before) findings.push(`record ${identity} came after ${attempt}/${before} (cursor ${cursor})`)
    else if (seq > before + 1)
      findings.push(`records ${attempt}/${before + 1} to ${attempt}/${seq - 1} are lost`)
    lastSeq.set(attempt, Math.max(before, seq))
  }
  const kept = losses(records)
  expected.forEach((loss, index) => {
    const step = index + 1
    const found = kept.get(step)
    if (found === undefined) findings.push(`step ${step} is lost`)
    else if (!Object.is(found, loss))
      findings.push(`loss ${found} of step ${step} is not the undisturbed ${loss}`)
  })
  if (kept.size > expected.length) findings.push(`${kept.size} steps are kept, there are ${expected.length}`)
  return findings
}
