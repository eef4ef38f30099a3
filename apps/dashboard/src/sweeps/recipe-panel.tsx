/** Where a sweep was made from a recipe: what it repeats, and the paper’s numbers beside it. */
import { Alert, Paper, Stack, Text } from '@mantine/core'
import { findRecipe } from '@rankscope/experiments'
import type { SweepSpec } from '@rankscope/protocol'
import { PaperNumbers } from '../recipes/paper-numbers.tsx'

export function RecipePanel({ spec }: { spec: SweepSpec }) {
  const recipe = spec.recipe === null ? null : findRecipe(spec.recipe.id)
  if (!recipe) return null
  const isSmall = spec.recipe?.scale === 'small'
  return (
    <Paper withBorder p="md" component="section" aria-label="Recipe">
      <Stack gap="xs">
        <Text fw={600}>
          {recipe.of}: {recipe.title}
        </Text>
        <Text size="sm">{recipe.says}</Text>
        <Text size="sm" c="dimmed">
          {recipe.reading} <b>What to look at:</b> {recipe.compare}
        </Text>
        {isSmall ? (
          <Alert color="orange" p="xs" data-testid="not-comparable">
            Small scale: the built-in model on built-in tasks.{' '}
            {recipe.paper
              ? 'The paper’s numbers are not comparable with these.'
              : 'It shows the experiment, not the paper’s result.'}
          </Alert>
        ) : null}
        {recipe.paper ? <PaperNumbers table={recipe.paper} /> : null}
      </Stack>
    </Paper>
  )
}
