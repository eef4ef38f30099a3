/** The methods as cards: choose one, or several to compare. */
import { Button, SimpleGrid, Text, UnstyledButton } from '@mantine/core'
import { type MethodName, methodLabels, methodNames } from '@rankscope/protocol'
import { IconCheck } from '@tabler/icons-react'
import classes from './method-cards.module.css'

/** What each method does to W, and the rank that ΔW can have. */
const summaries: Record<MethodName, { text: string; rank: string }> = {
  lora: { text: 'A random low-rank adapter beside the frozen weights.', rank: 'rank ΔW ≤ r' },
  pissa: { text: 'The adapter starts from the top r principal components.', rank: 'rank ΔW ≤ 2r' },
  'hd-pissa': {
    text: 'K devices, each with its own slice of principal components; updates join in W.',
    rank: 'rank ΔW beyond 2Kr',
  },
  full: { text: 'Every weight is trained: the yardstick.', rank: 'no bound' },
  dora: { text: 'LoRA with the columns’ lengths trained apart.', rank: 'full rank' },
  mora: { text: 'A square matrix with compression instead of two factors.', rank: 'full rank' },
  hira: { text: 'A low-rank factor multiplied into W entry by entry.', rank: 'full rank' },
  'lora-dwu': { text: 'Ablation: LoRA’s start, HD-PiSSA’s update of W.', rank: 'rank ΔW ≤ Kr' },
  intermediate: { text: 'Ablation: PiSSA slices apart, merged seldom.', rank: 'rank ΔW ≤ 2Kr' },
}

const usual: readonly MethodName[] = ['lora', 'pissa', 'hd-pissa', 'full']

type Props = {
  chosen: readonly MethodName[]
  setChosen: (methods: MethodName[]) => void
  more: boolean
  setMore: (more: boolean) => void
}

export function MethodCards({ chosen, setChosen, more, setMore }: Props) {
  const order = Object.keys(methodLabels) as MethodName[]
  const shown = order.filter((name) => more || usual.includes(name) || chosen.includes(name))
  const toggle = (name: MethodName) =>
    setChosen(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name])
  return (
    <>
      <SimpleGrid cols={{ base: 1, xs: 2, lg: 4 }} spacing="xs">
        {shown.map((name) => (
          <UnstyledButton
            key={name}
            role="checkbox"
            aria-checked={chosen.includes(name)}
            className={classes['card']!}
            data-chosen={chosen.includes(name)}
            data-testid={`method-${name}`}
            onClick={() => toggle(name)}
          >
            <span className={classes['mark']}>{chosen.includes(name) ? <IconCheck size={13} /> : null}</span>
            <Text fw={600} size="sm" pr={22}>
              {methodLabels[name]}
            </Text>
            <Text size="xs" c="dimmed" flex={1}>
              {summaries[name].text}
            </Text>
            <Text size="xs" fw={500}>
              {summaries[name].rank}
            </Text>
          </UnstyledButton>
        ))}
      </SimpleGrid>
      {more || shown.length === methodNames.length ? null : (
        <Button variant="subtle" size="compact-sm" mt={6} onClick={() => setMore(true)}>
          More methods and ablations
        </Button>
      )}
    </>
  )
}
