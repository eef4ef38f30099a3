/** A panel of one topic, once its history is here: what is still being fetched is not “none”. */
import { Loader } from '@mantine/core'
import { type ReactNode, useMemo } from 'react'
import { useTopicVersion } from '../live/live-context.tsx'
import type { RunStore, Topic } from '../live/run-store.ts'

type Props = { store: RunStore | undefined; topic: Topic; children: (store: RunStore) => ReactNode }

export function WhenLoaded({ store, topic, children }: Props) {
  const stores = useMemo(() => (store ? [store] : []), [store])
  useTopicVersion(stores, topic)
  if (!store?.isReady(topic)) return <Loader m="xl" aria-label="Loading" />
  return children(store)
}
