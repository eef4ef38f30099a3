import { useComputedColorScheme } from '@mantine/core'
import { type ChartTheme, chartThemes } from './figure.ts'

/** Colours and fonts of charts for the current colour scheme. */
export function useChartTheme(): ChartTheme {
  return chartThemes[useComputedColorScheme('light')]
}
