/** All recipes, in the order of the page. */
import { RankscopeError, type SweepSpec } from '@rankscope/protocol'
import { ownLearningRates, peftComparison } from './beyond.ts'
import { figure4 } from './figure4.ts'
import { figure1, figure3, figure5, figure6, figure7, figure8 } from './figures.ts'
import { table1Llama2, table1Llama31, table1Mistral, table2, table7 } from './paper-tables.ts'
import type { Recipe } from './recipe.ts'

export type { Ask, Recipe } from './recipe.ts'

export const recipes: readonly Recipe[] = [
  table1Llama2,
  table1Llama31,
  table1Mistral,
  table2,
  figure1,
  figure3,
  figure4,
  figure5,
  figure6,
  figure7,
  figure8,
  table7,
  ownLearningRates,
  peftComparison,
]

export function findRecipe(id: string): Recipe | null {
  return recipes.find((recipe) => recipe.id === id) ?? null
}

/** The sweep of a recipe, marked as such. CONFIG_INVALID names what is still to be named at full scale. */
export function recipeSweep(
  recipe: Recipe,
  scale: 'small' | 'full',
  files: Readonly<Record<string, string>> = {},
): SweepSpec {
  if (scale === 'small') return { ...recipe.small(), recipe: { id: recipe.id, scale } }
  const missing = recipe.asks.filter(({ key }) => (files[key] ?? '').trim() === '')
  if (missing.length > 0)
    throw new RankscopeError(
      'CONFIG_INVALID',
      `${recipe.of}: ${missing.map(({ key, title, hint }) => `${key} (${title}: ${hint})`).join('; ')}`,
      {
        hint: 'name every file that the recipe asks for',
      },
    )
  return { ...recipe.full(files), recipe: { id: recipe.id, scale } }
}
