/** How a program ends that nobody ended in order: with the one that started it, and on a fault that nobody caught. */

/** Set for programs that are to end with the one that starts them; it gives them a channel (`stdio: 'ipc'`) as well. */
export const withParent = { RANKSCOPE_WITH_PARENT: '1' } as const

/**
 * Calls `leave` when the program that started this one is gone: it holds the other end of a channel, which the system
 * closes even after kill -9. What is written to a reader that is gone is lost, and is no reason to fall over.
 */
export function leaveWithParent(leave: () => void): void {
  const isWanted = process.env['RANKSCOPE_WITH_PARENT'] !== undefined
  delete process.env['RANKSCOPE_WITH_PARENT']
  if (!isWanted) return
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  // It may have gone while this program was loading.
  if (!process.connected) {
    leave()
    return
  }
  process.on('disconnect', leave)
  // Listening must not keep a program alive that has nothing else to do.
  process.channel?.unref()
}

/** An error that nobody caught, or a rejection that nobody handled, is told by `tell` and ends the program with code 1. */
export function endOnFault(tell: (error: unknown) => void): void {
  let isEnding = false
  process.on('uncaughtException', (error) => {
    if (isEnding) return
    isEnding = true
    try {
      tell(error)
    } finally {
      process.exit(1)
    }
  })
}
