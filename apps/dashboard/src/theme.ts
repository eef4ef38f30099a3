/** Look of the whole dashboard. Colours of text keep a contrast of 4.5 or more on every ground that they stand on. */
import { type CSSVariablesResolver, createTheme } from '@mantine/core'

export const theme = createTheme({
  primaryColor: 'indigo',
  primaryShade: { light: 7, dark: 8 },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "JetBrains Mono", "DejaVu Sans Mono", monospace',
  defaultRadius: 'md',
  cursorType: 'pointer',
  components: {
    Tooltip: { defaultProps: { openDelay: 250, withArrow: true, multiline: true } },
    Badge: { defaultProps: { radius: 'sm' } },
    // What it is called is heard only of something that has a role.
    Loader: { defaultProps: { role: 'status' } },
    // What scrolls sideways is reached by the keyboard.
    TableScrollContainer: { defaultProps: { scrollAreaProps: { viewportProps: { tabIndex: 0 } } } },
  },
})

/** Text of badges and light buttons, by colour: Mantine’s own fall short on the light ground. */
const lightTexts = {
  gray: '#495057',
  cyan: '#0a5560',
  blue: '#1558a0',
  yellow: '#714800',
  orange: '#983600',
  teal: '#06573f',
  green: '#1f6129',
  red: '#a51d1d',
  grape: '#702185',
  indigo: '#2f44ad',
}

export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#565d65',
    '--mantine-color-error': '#c21f1f',
    '--mantine-color-anchor': '#3b55d9',
    '--mantine-color-placeholder': '#6a717a',
    ...Object.fromEntries(
      Object.entries(lightTexts).map(([name, colour]) => [`--mantine-color-${name}-light-color`, colour]),
    ),
  },
  dark: {
    '--mantine-color-dimmed': '#a8abb0',
    '--mantine-color-error': '#ff9191',
    '--mantine-color-placeholder': '#9a9da2',
  },
})
