/**
 * What is cut off in a list says itself in full, and an age its moment, while under the mouse or focused. As attributes
 * of all cells, titles would be most of what a scrolled row costs.
 */
import type { SyntheticEvent } from 'react'
import { formatMoment } from '../common/format.ts'

let named: HTMLElement | null = null

export function nameInFull({ target }: SyntheticEvent): void {
  if (!(target instanceof HTMLElement) || target.title !== '') return
  if (target instanceof HTMLTimeElement) target.title = formatMoment(Date.parse(target.dateTime))
  else if (target.matches('td > span, td > a') && target.scrollWidth > target.clientWidth)
    target.title = target.textContent ?? ''
  else return
  named = target
}

export function forgetFullName(): void {
  named?.removeAttribute('title')
  named = null
}
