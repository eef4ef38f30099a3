/**
 * The probe’s process: selects a backend as a run would, tells which and why, tries those that a run may name although
 * another is faster, and ends.
 */
import { type BackendName, backendNames, errorPayload } from '@rankscope/protocol'
import { type SelectedBackend, selectBackend } from '../backends/select.ts'
import type { Backends } from './backend-report.ts'

async function probe(threads: number): Promise<Backends> {
  try {
    const selected = await selectBackend('auto', { threads })
    const others = backendNames.filter((name) => name !== 'auto' && name !== selected.name)
    const backends = [told(selected)]
    for (const name of others) backends.push(await tried(name, threads, selected.rejected))
    return { selectedBackend: selected.name, backends }
  } catch (error) {
    const { message } = errorPayload(error)
    return { selectedBackend: 'none', backends: [{ name: 'auto', available: false, detail: message }] }
  }
}

function told({ name, description, selfCheck }: SelectedBackend): Backends['backends'][number] {
  return { name, available: true, detail: `${description}; ${selfCheck}` }
}

/** A backend that a run names; one that was passed over for want of a GPU may still run without. */
async function tried(
  name: BackendName,
  threads: number,
  rejected: SelectedBackend['rejected'],
): Promise<Backends['backends'][number]> {
  try {
    return told(await selectBackend(name, { threads }))
  } catch (error) {
    const known = rejected.find((one) => one.name === name)
    return {
      name,
      available: false,
      detail: known?.reason ?? errorPayload(error).message.replace(`${name}: `, ''),
    }
  }
}

const backends = await probe(Number(process.argv[2]))
process.send!(backends, () => process.exit(0))
