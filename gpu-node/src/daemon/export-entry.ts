/** The process of one export: takes the order from the daemon, works, tells, and leaves. It ends with its daemon. */
import { errorPayload } from '@rankscope/protocol'
import { endWithParent } from '../parent-death.ts'
import { type ExportOrder, executeExport } from '../run/execute-export.ts'
import type { MessageFromExport } from './export-jobs.ts'

process.on('disconnect', () => process.exit(1))
endWithParent()
if (!process.connected) process.exit(1)

process.once('message', async (order) => {
  let lastToldMs = 0
  let message: MessageFromExport
  try {
    const result = await executeExport(order as ExportOrder, (progress, detail) => {
      if (performance.now() - lastToldMs < 100) return
      lastToldMs = performance.now()
      void send({ type: 'progress', progress, detail })
    })
    message = { type: 'done', result }
  } catch (error) {
    const payload = errorPayload(error)
    if (payload.code === 'INTERNAL') console.error(error)
    message = { type: 'failed', error: payload }
  }
  await send(message)
  process.exit(0)
})

function send(message: MessageFromExport): Promise<void> {
  return new Promise((resolve) => {
    process.send!(message, () => resolve())
  })
}
