/** A small select without an empty choice, as charts and tables have above them. */
import { Select } from '@mantine/core'

type Props = {
  /** Said by screen readers. */
  label: string
  value: string | null
  set: (value: string) => void
  choices: readonly { value: string; label: string }[]
  width?: number
}

export function SmallSelect({ label, value, set, choices, width = 180 }: Props) {
  return (
    <Select
      size="xs"
      w={width}
      maw="100%"
      aria-label={label}
      allowDeselect={false}
      value={value}
      onChange={(next) => next !== null && set(next)}
      data={[...choices]}
    />
  )
}
