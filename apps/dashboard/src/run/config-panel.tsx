/** The complete configuration: as a table of settings with their help, or as JSON to copy. */
import { Button, Code, CopyButton, Group, Paper, SegmentedControl, Table, Text } from '@mantine/core'
import type { RunConfig } from '@rankscope/protocol'
import { downloadText } from '../charts/download.ts'
import { flattenConfig } from '../common/flatten.ts'
import { useViewChoice } from '../common/view-state.ts'
import { fieldAt, groupTitle, settingTitle } from '../launch/schema.ts'
import classes from './config-panel.module.css'

export function ConfigPanel({ config, name }: { config: RunConfig; name: string }) {
  const [shape, setShape] = useViewChoice('config.as', ['table', 'json'] as const, 'table')
  const json = JSON.stringify(config, null, 2)
  return (
    <>
      <Group mb="sm" gap="sm">
        <SegmentedControl
          size="xs"
          aria-label="Form"
          value={shape}
          onChange={setShape}
          data={[
            { value: 'table', label: 'Settings' },
            { value: 'json', label: 'JSON' },
          ]}
        />
        <CopyButton value={json}>
          {({ copied, copy }) => (
            <Button size="compact-sm" variant="default" onClick={copy}>
              {copied ? 'Copied' : 'Copy JSON'}
            </Button>
          )}
        </CopyButton>
        <Button size="compact-sm" variant="default" onClick={() => downloadText(json, `${name}.json`)}>
          Save as file
        </Button>
      </Group>
      {shape === 'json' ? <Code block>{json}</Code> : <Settings config={config} />}
    </>
  )
}

function Settings({ config }: { config: RunConfig }) {
  const groups = new Map<string, [path: string, value: string][]>()
  for (const [path, value] of flattenConfig(config)) {
    const group = path.includes('.') ? path.split('.')[0]! : 'run'
    groups.set(group, [...(groups.get(group) ?? []), [path, value]])
  }
  return (
    <div className={classes['columns']}>
      {[...groups].map(([group, settings]) => (
        <Paper key={group} withBorder p="sm" className={classes['group']!}>
          <Text fw={600} size="sm" mb={4}>
            {groupTitle(group)}
          </Text>
          <Table verticalSpacing={3} horizontalSpacing={0} withRowBorders={false}>
            <Table.Tbody>
              {settings.map(([path, value]) => {
                const field = fieldAt(config, path)
                return (
                  <Table.Tr key={path}>
                    <Table.Td title={field?.description ?? path} c="dimmed" pr="sm">
                      {settingTitle(config, path)}
                    </Table.Td>
                    <Table.Td ta="right" className="numeric" style={{ overflowWrap: 'anywhere' }}>
                      {value}
                    </Table.Td>
                  </Table.Tr>
                )
              })}
            </Table.Tbody>
          </Table>
        </Paper>
      ))}
    </div>
  )
}
