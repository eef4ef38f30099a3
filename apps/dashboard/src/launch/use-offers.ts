/** Models and data files that online nodes offer, by the setting that takes them. */
import { useMemo } from 'react'
import { useNodes } from '../api/queries.ts'

export function useOffers(): Record<string, string[]> {
  const { data: nodes } = useNodes()
  return useMemo(() => {
    const online = (nodes ?? []).filter((node) => node.state === 'online')
    const models = [...new Set(online.flatMap((node) => node.hello.models.map((model) => model.path)))]
    const data = [...new Set(online.flatMap((node) => node.hello.data.map((file) => file.path)))]
    return {
      'model.path': models,
      'data.source.path': data,
      'data.source.evaluationPath': data,
      'data.source.validationPath': data,
      'evaluation.benchmarks.path': data,
      'evaluation.benchmarks.trainPath': data,
    }
  }, [nodes])
}
