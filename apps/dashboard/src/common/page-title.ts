import { useEffect } from 'react'

/** The title of the browser’s tab: what the page is of first. null leaves it to another component. */
export function usePageTitle(title: string | null): void {
  useEffect(() => {
    if (title !== null) document.title = `${title} · Rankscope`
  }, [title])
}
