/** Move through the recorded steps: slider, play, and “live”, which follows the newest. */
import { ActionIcon, Button, Group, Slider, Text, Tooltip } from '@mantine/core'
import { IconPlayerPauseFilled, IconPlayerPlayFilled } from '@tabler/icons-react'
import { useCallback, useEffect, useState } from 'react'
import { formatExact } from '../common/format.ts'
import { useShortcuts } from '../shell/shortcuts.ts'

type Props = {
  steps: readonly number[]
  /** null follows the newest. */
  step: number | null
  setStep: (step: number | null) => void
  /** Whether more steps will come: “Live” or “Last”. */
  growing: boolean
}

const playIntervalMs = 220

export function StepSlider({ steps, step, setStep, growing }: Props) {
  const [playing, setPlaying] = useState(false)
  const last = steps.length - 1
  const index =
    step === null
      ? last
      : Math.max(
          0,
          steps.findLastIndex((candidate) => candidate <= step),
        )
  const go = useCallback(
    (next: number) =>
      setStep(next >= steps.length - 1 && !playing ? null : (steps[Math.max(0, next)] ?? null)),
    [setStep, steps, playing],
  )

  useEffect(() => {
    if (!playing) return
    const timer = setTimeout(() => {
      if (index >= last) {
        setPlaying(false)
        setStep(null)
      } else setStep(steps[index + 1]!)
    }, playIntervalMs)
    return () => clearTimeout(timer)
  }, [playing, index, last, steps, setStep])

  const toggle = () => {
    if (!playing && index >= last) setStep(steps[0] ?? null)
    setPlaying(!playing)
  }
  useShortcuts([
    { keys: ' ', group: 'Spectrum', label: 'Play through the steps', run: toggle },
    { keys: 'ArrowLeft', group: 'Spectrum', label: 'One recorded step back', run: () => go(index - 1) },
    { keys: 'ArrowRight', group: 'Spectrum', label: 'One recorded step on', run: () => go(index + 1) },
    { keys: 'f', group: 'Spectrum', label: 'Follow the newest step', run: () => setStep(null) },
  ])

  const disabled = steps.length < 2
  return (
    <Group gap="xs" wrap="nowrap">
      <Tooltip label={playing ? 'Pause (space)' : 'Play through the steps (space)'}>
        <ActionIcon
          variant="light"
          onClick={toggle}
          disabled={disabled}
          aria-label={playing ? 'Pause' : 'Play through the steps'}
        >
          {playing ? <IconPlayerPauseFilled size={14} /> : <IconPlayerPlayFilled size={14} />}
        </ActionIcon>
      </Tooltip>
      <Slider
        flex={1}
        size="sm"
        min={0}
        max={Math.max(1, last)}
        value={Math.max(0, index)}
        onChange={go}
        disabled={disabled}
        label={(position) => `step ${formatExact(steps[position])}`}
        thumbLabel="Step of the spectrum"
      />
      <Text size="xs" className="numeric" miw={74} ta="right">
        {steps.length === 0 ? 'no step yet' : `step ${formatExact(steps[index])}`}
      </Text>
      <Button
        size="compact-xs"
        variant={step === null ? 'filled' : 'default'}
        onClick={() => {
          setPlaying(false)
          setStep(null)
        }}
        title="Follow the newest step (f)"
      >
        {growing ? 'Live' : 'Last'}
      </Button>
    </Group>
  )
}
