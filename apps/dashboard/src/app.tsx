/** The pages and their addresses. */
import { Loader } from '@mantine/core'
import { lazy, Suspense, useLayoutEffect } from 'react'
import { Navigate, Route, Routes, useLocation, useNavigationType } from 'react-router'
import { usePageTitle } from './common/page-title.ts'
import { useAdoptLocation } from './common/view-state.ts'
import { RunsPage } from './runs/runs-page.tsx'
import { NotFoundPage } from './shell/not-found-page.tsx'
import { Shell } from './shell/shell.tsx'

// The list is the first screen; every other page comes with its own code.
const ComparePage = lazy(async () => ({ default: (await import('./compare/compare-page.tsx')).ComparePage }))
const EvaluatePage = lazy(async () => ({
  default: (await import('./evaluate/evaluate-page.tsx')).EvaluatePage,
}))
const LaunchPage = lazy(async () => ({ default: (await import('./launch/launch-page.tsx')).LaunchPage }))
const NodesPage = lazy(async () => ({ default: (await import('./nodes/nodes-page.tsx')).NodesPage }))
const RecipesPage = lazy(async () => ({ default: (await import('./recipes/recipes-page.tsx')).RecipesPage }))
const RunPage = lazy(async () => ({ default: (await import('./run/run-page.tsx')).RunPage }))
const SweepPage = lazy(async () => ({ default: (await import('./sweeps/sweep-page.tsx')).SweepPage }))
const SweepsPage = lazy(async () => ({ default: (await import('./sweeps/sweeps-page.tsx')).SweepsPage }))

const titles: Record<string, string> = {
  '/launch': 'Launch',
  '/evaluate': 'Evaluate',
  '/runs': 'Runs',
  '/compare': 'Compare',
  '/recipes': 'Recipes',
  '/sweeps': 'Sweeps',
  '/nodes': 'Nodes',
}

export function App() {
  useAdoptLocation()
  const { pathname } = useLocation()
  const navigation = useNavigationType()
  usePageTitle(titles[pathname] ?? null)
  // A new page begins at its top; going back keeps what the browser remembers.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the path tells of every new page
  useLayoutEffect(() => {
    if (navigation === 'PUSH') window.scrollTo(0, 0)
  }, [pathname, navigation])
  return (
    <Shell>
      <Suspense fallback={<Loader m="xl" aria-label="Loading the page" />}>
        <Routes>
          <Route path="/" element={<Navigate to="/runs" replace />} />
          <Route path="/launch" element={<LaunchPage />} />
          <Route path="/evaluate" element={<EvaluatePage />} />
          <Route path="/runs" element={<RunsPage />} />
          <Route path="/runs/:runId" element={<RunPage />} />
          <Route path="/compare" element={<ComparePage />} />
          <Route path="/recipes" element={<RecipesPage />} />
          <Route path="/sweeps" element={<SweepsPage />} />
          <Route path="/sweeps/:sweepId" element={<SweepPage />} />
          <Route path="/nodes" element={<NodesPage />} />
          <Route path="*" element={<NotFoundPage />} />
        </Routes>
      </Suspense>
    </Shell>
  )
}
