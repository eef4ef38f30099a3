/** What the list shows: columns, the field that groups it, and views saved under a name. */
import { ActionIcon, Button, Group, Menu, MultiSelect, Popover, Select, Text, TextInput } from '@mantine/core'
import { IconBookmark, IconColumns, IconX } from '@tabler/icons-react'
import { type FormEvent, useState } from 'react'
import { useNavigate } from 'react-router'
import { defaultColumns } from './run-columns.ts'

type Fields = { fields: readonly string[] }

export function ColumnsMenu({
  fields,
  columns,
  setColumns,
}: Fields & { columns: readonly string[]; setColumns: (ids: readonly string[]) => void }) {
  const choices = [...new Set([...defaultColumns, ...fields])].filter((id) => id !== 'name')
  return (
    <Popover position="bottom-end" width={360} withinPortal trapFocus>
      <Popover.Target>
        <Button variant="default" leftSection={<IconColumns size={15} />}>
          Columns
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <MultiSelect
          label="Columns"
          description="Any setting by its path, any number of the summary, the newest of any scalar"
          searchable
          hidePickedOptions
          limit={60}
          comboboxProps={{ withinPortal: false }}
          value={[...columns]}
          onChange={setColumns}
          data={choices}
        />
        <Button size="compact-sm" variant="subtle" mt="xs" onClick={() => setColumns(defaultColumns)}>
          Back to the usual ones
        </Button>
      </Popover.Dropdown>
    </Popover>
  )
}

export function GroupSelect({
  fields,
  value,
  setValue,
}: Fields & { value: string; setValue: (field: string) => void }) {
  return (
    <Select
      w={190}
      aria-label="Group by"
      placeholder="Not grouped"
      searchable
      clearable
      limit={60}
      value={value === '' ? null : value}
      onChange={(field) => setValue(field ?? '')}
      data={fields.map((field) => ({ value: field, label: `by ${field}` }))}
    />
  )
}

type SavedView = { name: string; query: string }
const storageKey = 'rankscope.views'

/** Views are the query of the address under a name, kept by this browser. */
export function SavedViews() {
  const navigate = useNavigate()
  const [views, setViews] = useState(readViews)
  const [name, setName] = useState('')
  const store = (next: SavedView[]) => {
    setViews(next)
    localStorage.setItem(storageKey, JSON.stringify(next))
  }
  const save = (event: FormEvent) => {
    event.preventDefault()
    const given = name.trim()
    if (given === '') return
    const parameters = new URLSearchParams(window.location.search)
    parameters.delete('selected')
    store([...views.filter((view) => view.name !== given), { name: given, query: parameters.toString() }])
    setName('')
  }
  return (
    <Menu position="bottom-end" withinPortal closeOnItemClick width={260}>
      <Menu.Target>
        <Button variant="default" leftSection={<IconBookmark size={15} />}>
          Views
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {views.length === 0 ? (
          <Text size="sm" c="dimmed" px="sm" py={4}>
            None saved yet.
          </Text>
        ) : null}
        {views.map((view) => (
          <Group key={view.name} gap={4} wrap="nowrap">
            <Menu.Item onClick={() => void navigate(`/runs?${view.query}`)}>{view.name}</Menu.Item>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={`Forget the view ${view.name}`}
              onClick={() => store(views.filter((other) => other !== view))}
            >
              <IconX size={14} />
            </ActionIcon>
          </Group>
        ))}
        <Menu.Divider />
        <form onSubmit={save} style={{ padding: '4px 8px' }}>
          <Group gap={6} wrap="nowrap">
            <TextInput
              size="xs"
              flex={1}
              aria-label="Name of the view"
              placeholder="Save this view as"
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              onKeyDown={(event) => event.stopPropagation()}
            />
            <Button size="xs" type="submit" disabled={name.trim() === ''}>
              Save
            </Button>
          </Group>
        </form>
      </Menu.Dropdown>
    </Menu>
  )
}

function readViews(): SavedView[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(storageKey) ?? '[]')
    return Array.isArray(value)
      ? value.filter(
          (one): one is SavedView => typeof one?.name === 'string' && typeof one?.query === 'string',
        )
      : []
  } catch {
    return []
  }
}
