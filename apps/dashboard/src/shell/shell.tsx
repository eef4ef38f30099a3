/** The frame around every page: navigation, connection, colour scheme, keyboard shortcuts. */
import {
  ActionIcon,
  AppShell,
  Burger,
  Group,
  Menu,
  Text,
  Tooltip,
  useMantineColorScheme,
} from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconDeviceDesktop, IconKeyboard, IconMoon, IconSearch, IconSun } from '@tabler/icons-react'
import { lazy, type ReactNode, Suspense, useEffect, useState } from 'react'
import { NavLink, useLocation, useNavigate } from 'react-router'
import { basePath } from '../api/base-path.ts'
import { ConnectionIndicator } from './connection-indicator.tsx'
import classes from './shell.module.css'
import { ShortcutDialog } from './shortcut-dialog.tsx'
import { useShortcuts } from './shortcuts.ts'
import { TokenDialog } from './token-dialog.tsx'

const pages = [
  { to: '/launch', label: 'Launch' },
  { to: '/evaluate', label: 'Evaluate' },
  { to: '/runs', label: 'Runs' },
  { to: '/compare', label: 'Compare' },
  { to: '/sweeps', label: 'Sweeps' },
  { to: '/recipes', label: 'Recipes' },
  { to: '/nodes', label: 'Nodes' },
]

const schemes = [
  { value: 'light', label: 'Light', icon: IconSun },
  { value: 'dark', label: 'Dark', icon: IconMoon },
  { value: 'auto', label: 'As the system', icon: IconDeviceDesktop },
] as const

const CommandPalette = lazy(async () => ({ default: (await import('./command-palette.tsx')).CommandPalette }))

export function Shell({ children }: { children: ReactNode }) {
  const [menuOpen, menu] = useDisclosure(false)
  const [helpOpen, help] = useDisclosure(false)
  const { colorScheme, setColorScheme, toggleColorScheme } = useMantineColorScheme()
  const navigate = useNavigate()
  const { pathname } = useLocation()
  const SchemeIcon = schemes.find((scheme) => scheme.value === colorScheme)?.icon ?? IconDeviceDesktop

  // biome-ignore lint/correctness/useExhaustiveDependencies: going to another page closes the menu
  useEffect(menu.close, [pathname])

  // Its code comes when it is first asked for.
  const [paletteWanted, setPaletteWanted] = useState(false)
  const openPalette = async () => {
    setPaletteWanted(true)
    const { spotlight } = await import('@mantine/spotlight')
    spotlight.open()
  }
  useEffect(() => {
    const opens = (event: KeyboardEvent) => {
      if (event.key !== 'k' || !(event.ctrlKey || event.metaKey) || paletteWanted) return
      event.preventDefault()
      void openPalette()
    }
    window.addEventListener('keydown', opens)
    return () => window.removeEventListener('keydown', opens)
  })

  useShortcuts([
    { keys: 'g l', group: 'Go to', label: 'Launch', run: () => void navigate('/launch') },
    { keys: 'g v', group: 'Go to', label: 'Evaluate', run: () => void navigate('/evaluate') },
    { keys: 'g r', group: 'Go to', label: 'Runs', run: () => void navigate('/runs') },
    { keys: 'g c', group: 'Go to', label: 'Compare', run: () => void navigate('/compare') },
    { keys: 'g s', group: 'Go to', label: 'Sweeps', run: () => void navigate('/sweeps') },
    { keys: 'g e', group: 'Go to', label: 'Recipes', run: () => void navigate('/recipes') },
    { keys: 'g n', group: 'Go to', label: 'Nodes', run: () => void navigate('/nodes') },
    { keys: 't', group: 'View', label: 'Switch between light and dark', run: toggleColorScheme },
    { keys: '?', group: 'View', label: 'Show this help', run: help.open },
  ])

  const links = pages.map((page) => (
    <NavLink key={page.to} to={page.to} className={classes['link']!}>
      {page.label}
    </NavLink>
  ))
  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 220, breakpoint: 'sm', collapsed: { desktop: true, mobile: !menuOpen } }}
      padding={{ base: 'sm', md: 'md' }}
    >
      <a href="#content" className={classes['skip']}>
        Skip to the content
      </a>
      <AppShell.Header className={classes['header']}>
        <Burger opened={menuOpen} onClick={menu.toggle} hiddenFrom="sm" size="sm" aria-label="Menu" />
        <NavLink to="/runs" className={classes['brand']!} aria-label="Rankscope, all runs">
          <img src={`${basePath}favicon.svg`} alt="" width={26} height={26} />
          <Text fw={700} component="span" visibleFrom="xs">
            Rankscope
          </Text>
        </NavLink>
        <Group component="nav" gap={2} visibleFrom="sm" aria-label="Pages">
          {links}
        </Group>
        <Group gap={6} ml="auto" wrap="nowrap">
          <ConnectionIndicator />
          <Tooltip label="Page, run or command (Ctrl K)">
            <ActionIcon
              variant="subtle"
              color="gray"
              onClick={() => void openPalette()}
              aria-label="Find a page, run or command"
            >
              <IconSearch size={18} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label="Keyboard shortcuts (?)">
            <ActionIcon
              variant="subtle"
              color="gray"
              onClick={help.open}
              aria-label="Keyboard shortcuts"
              visibleFrom="sm"
            >
              <IconKeyboard size={18} />
            </ActionIcon>
          </Tooltip>
          <Menu position="bottom-end">
            <Menu.Target>
              <ActionIcon variant="subtle" color="gray" aria-label="Colour scheme">
                <SchemeIcon size={18} />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              {schemes.map(({ value, label, icon: Icon }) => (
                <Menu.Item
                  key={value}
                  leftSection={<Icon size={15} />}
                  onClick={() => setColorScheme(value)}
                  fw={value === colorScheme ? 700 : 400}
                >
                  {label}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="md" component="nav" aria-label="Pages" hiddenFrom="sm">
        {links}
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1} className={classes['main']!}>
        {children}
      </AppShell.Main>
      <ShortcutDialog opened={helpOpen} close={help.close} />
      <TokenDialog />
      {paletteWanted ? (
        <Suspense>
          <CommandPalette pages={pages} />
        </Suspense>
      ) : null}
    </AppShell>
  )
}
