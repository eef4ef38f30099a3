/** Whether live data flows: words for screen readers, a dot for everyone. */
import { Badge, Tooltip } from '@mantine/core'
import { useIsRefused } from '../api/session.ts'
import { useConnectionState } from '../live/live-context.tsx'

export function ConnectionIndicator() {
  const connection = useConnectionState()
  const isRefused = useIsRefused()
  const { label, colour, help } = {
    connecting: { label: 'Connecting', colour: 'yellow', help: 'Connecting to the server.' },
    online: { label: 'Live', colour: 'green', help: 'Connected: charts grow as records arrive.' },
    offline: {
      label: 'Offline',
      colour: 'red',
      help: 'No connection to the server. Training goes on; what is missed is fetched when it is back.',
    },
    refused: {
      label: 'Signed out',
      colour: 'red',
      help: 'The token of this browser is no longer valid: open the address that the server printed.',
    },
  }[isRefused ? 'refused' : connection.state]
  return (
    <Tooltip
      label={connection.state === 'offline' && !isRefused ? `${help} (${connection.reason})` : help}
      maw={280}
    >
      <Badge variant="dot" color={colour} role="status" data-testid="connection" tt="none" fw={500}>
        {label}
      </Badge>
    </Tooltip>
  )
}
