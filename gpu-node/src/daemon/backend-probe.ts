/** The probe’s process: selects a backend as a run would, tells which and why, and ends. */
import { errorPayload } from '@rankscope/protocol'
import { selectBackend } from '../backends/select.ts'
import type { Backends } from './backend-report.ts'

async function probe(threads: number): Promise<Backends> {
  try {
    const selected = await selectBackend('auto', { threads })
    return {
      selectedBackend: selected.name,
      backends: [
        {
          name: selected.name,
          available: true,
          detail: `${selected.description}; ${selected.selfCheck}`,
        },
        ...selected.rejected.map(({ name, reason }) => ({ name, available: false, detail: reason })),
      ],
    }
  } catch (error) {
    const { message } = errorPayload(error)
    return { selectedBackend: 'none', backends: [{ name: 'auto', available: false, detail: message }] }
  }
}

const backends = await probe(Number(process.argv[2]))
process.send!(backends, () => process.exit(0))
