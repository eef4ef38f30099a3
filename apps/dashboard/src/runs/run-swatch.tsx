/** The run’s colour as a dot. */
import { useRunColour } from './colour-context.tsx'

export function RunSwatch({ runId, size = 10 }: { runId: string; size?: number }) {
  const colour = useRunColour(runId)
  return (
    <span
      aria-hidden
      style={{
        display: 'inline-block',
        flex: 'none',
        width: size,
        height: size,
        borderRadius: '50%',
        background: colour,
      }}
    />
  )
}
