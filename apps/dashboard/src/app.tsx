/** The pages and their addresses. */
import { useLayoutEffect } from 'react'
import { Navigate, Route, Routes, useLocation, useNavigationType } from 'react-router'
import { useAdoptLocation } from './common/view-state.ts'
import { ComparePage } from './compare/compare-page.tsx'
import { LaunchPage } from './launch/launch-page.tsx'
import { NodesPage } from './nodes/nodes-page.tsx'
import { RecipesPage } from './recipes/recipes-page.tsx'
import { RunPage } from './run/run-page.tsx'
import { RunsPage } from './runs/runs-page.tsx'
import { NotFoundPage } from './shell/not-found-page.tsx'
import { Shell } from './shell/shell.tsx'
import { SweepPage } from './sweeps/sweep-page.tsx'
import { SweepsPage } from './sweeps/sweeps-page.tsx'

export function App() {
  useAdoptLocation()
  const { pathname } = useLocation()
  const navigation = useNavigationType()
  // A new page begins at its top; going back keeps what the browser remembers.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the path tells of every new page
  useLayoutEffect(() => {
    if (navigation === 'PUSH') window.scrollTo(0, 0)
  }, [pathname, navigation])
  return (
    <Shell>
      <Routes>
        <Route path="/" element={<Navigate to="/runs" replace />} />
        <Route path="/launch" element={<LaunchPage />} />
        <Route path="/runs" element={<RunsPage />} />
        <Route path="/runs/:runId" element={<RunPage />} />
        <Route path="/compare" element={<ComparePage />} />
        <Route path="/recipes" element={<RecipesPage />} />
        <Route path="/sweeps" element={<SweepsPage />} />
        <Route path="/sweeps/:sweepId" element={<SweepPage />} />
        <Route path="/nodes" element={<NodesPage />} />
        <Route path="*" element={<NotFoundPage />} />
      </Routes>
    </Shell>
  )
}
