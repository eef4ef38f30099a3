/** Start of the dashboard: one query cache, one socket, one router. */
import '@mantine/core/styles.css'
import '@mantine/notifications/styles.css'
import './global.css'
import { MantineProvider } from '@mantine/core'
import { Notifications } from '@mantine/notifications'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { BrowserRouter } from 'react-router'
import { basePath } from './api/base-path.ts'
import { runsQuery } from './api/queries.ts'
import { cacheViews } from './api/view-cache.ts'
import { App } from './app.tsx'
import { prefetchComparison } from './compare/prefetch.ts'
import { LiveConnection } from './live/connection.ts'
import { LiveContext } from './live/live-context.tsx'
import { openSocket } from './live/socket.ts'
import { ColourProvider } from './runs/colour-context.tsx'
import { cssVariables, theme } from './theme.ts'

const client = new QueryClient({
  // The live feed keeps views current; a coded error is an answer, so only an unreachable server is asked again.
  defaultOptions: { queries: { staleTime: Number.POSITIVE_INFINITY, retry: 2, retryDelay: 1000 } },
})
const live = new LiveConnection(openSocket(), cacheViews(client))
prefetchComparison(live, window.location)
void client.prefetchQuery(runsQuery)

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto">
      <Notifications position="bottom-right" />
      <QueryClientProvider client={client}>
        <LiveContext value={live}>
          <BrowserRouter basename={basePath}>
            <ColourProvider>
              <App />
            </ColourProvider>
          </BrowserRouter>
        </LiveContext>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)
