/** Experiments of the paper, ready to be launched: small with what is built in, or in full with the reader’s model and data. */
import { Badge, Button, Group, Paper, SimpleGrid, Stack, Text, Title } from '@mantine/core'
import { expandSweep, type Recipe, recipeSweep, recipes } from '@rankscope/experiments'
import { IconRocket } from '@tabler/icons-react'
import { useState } from 'react'
import { useNavigate } from 'react-router'
import { useCreateSweep } from '../api/sweeps.ts'
import { ErrorNotice } from '../common/notice.tsx'
import { FullScale } from './full-scale.tsx'
import { PaperNumbers } from './paper-numbers.tsx'

export function RecipesPage() {
  return (
    <Stack gap="md">
      <div>
        <Title order={2}>Recipes</Title>
        <Text c="dimmed" maw={820}>
          Every figure and table of the HD-PiSSA paper (arXiv 2505.18777) as a sweep, and two comparisons that
          it lacks. Each runs small with the built-in model and tasks, to be tried in minutes, and in full
          with your model and data.
        </Text>
      </div>
      <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="md">
        {recipes.map((recipe) => (
          <RecipeCard key={recipe.id} recipe={recipe} />
        ))}
      </SimpleGrid>
    </Stack>
  )
}

function RecipeCard({ recipe }: { recipe: Recipe }) {
  const [isFull, setFull] = useState(false)
  const create = useCreateSweep()
  const navigate = useNavigate()
  const runs = expandSweep(recipe.small()).runs.length
  const launchSmall = async () => {
    const spec = recipeSweep(recipe, 'small')
    const made = await create.mutateAsync({ spec, runs: expandSweep(spec).runs })
    void navigate(`/sweeps/${made.sweepId}`)
  }
  return (
    <Paper
      withBorder
      p="md"
      component="section"
      aria-label={`${recipe.of}: ${recipe.title}`}
      data-testid={`recipe-${recipe.id}`}
    >
      <Stack gap="sm">
        <Group gap="xs">
          <Badge variant="light">{recipe.of}</Badge>
          <Text fw={600}>{recipe.title}</Text>
        </Group>
        <Text size="sm">{recipe.says}</Text>
        <Text size="sm" c="dimmed">
          <b>How it is read here.</b> {recipe.reading}
        </Text>
        <Text size="sm" c="dimmed">
          <b>What to look at.</b> {recipe.compare}
        </Text>
        {recipe.paper ? <PaperNumbers table={recipe.paper} /> : null}
        {create.error ? <ErrorNotice error={create.error} /> : null}
        <Group gap="xs">
          <Button
            size="sm"
            leftSection={<IconRocket size={16} />}
            loading={create.isPending}
            onClick={() => void launchSmall().catch(() => {})}
          >
            Run small: {runs} {runs === 1 ? 'run' : 'runs'}, about {recipe.smallMinutes} min
          </Button>
          <Button size="sm" variant="default" aria-expanded={isFull} onClick={() => setFull(!isFull)}>
            {isFull ? 'Not in full' : 'In full…'}
          </Button>
        </Group>
        {isFull ? <FullScale recipe={recipe} /> : null}
      </Stack>
    </Paper>
  )
}
