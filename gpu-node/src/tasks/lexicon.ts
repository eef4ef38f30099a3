/** The small world that the built-in tasks and the text for pretraining talk about. */

export const people = [
  'Tom',
  'Ann',
  'Ben',
  'Eva',
  'Max',
  'Mia',
  'Sam',
  'Zoe',
  'Leo',
  'Ida',
  'Kim',
  'Jim',
] as const

export const countables = [
  'apples',
  'books',
  'coins',
  'cards',
  'eggs',
  'shells',
  'stones',
  'pens',
  'cakes',
  'balls',
  'cups',
  'nuts',
] as const

export const places = ['park', 'school', 'garden', 'forest', 'market', 'river', 'house', 'beach'] as const

/** Kinds of things and their members; no word belongs to two kinds. */
export const kinds = {
  animal: ['dog', 'cat', 'cow', 'horse', 'pig', 'bird', 'fish', 'fox', 'lion', 'bear'],
  colour: ['red', 'blue', 'green', 'yellow', 'black', 'white', 'brown', 'pink'],
  food: ['bread', 'soup', 'rice', 'cheese', 'cake', 'corn', 'pie', 'meat'],
  tool: ['hammer', 'saw', 'axe', 'drill', 'knife', 'spoon', 'brush', 'needle'],
  fruit: ['apple', 'pear', 'plum', 'grape', 'lemon', 'peach', 'cherry', 'banana'],
  vehicle: ['car', 'bus', 'train', 'ship', 'truck', 'bike', 'plane', 'boat'],
  metal: ['iron', 'gold', 'silver', 'copper', 'tin', 'lead'],
  plant: ['tree', 'rose', 'grass', 'fern', 'oak', 'moss'],
} as const satisfies Record<string, readonly string[]>
export type Kind = keyof typeof kinds
export const kindNames = Object.keys(kinds) as Kind[]

export const opposites = [
  ['hot', 'cold'],
  ['big', 'small'],
  ['fast', 'slow'],
  ['old', 'new'],
  ['full', 'empty'],
  ['high', 'low'],
  ['wet', 'dry'],
  ['hard', 'soft'],
  ['dark', 'light'],
  ['loud', 'quiet'],
  ['strong', 'weak'],
  ['happy', 'sad'],
] as const

export const sounds = [
  ['dog', 'woof'],
  ['cat', 'meow'],
  ['cow', 'moo'],
  ['pig', 'oink'],
  ['bird', 'tweet'],
  ['lion', 'roar'],
  ['horse', 'neigh'],
  ['bear', 'growl'],
] as const

/** Every word of every kind: material for lists of words. */
export const words: readonly string[] = kindNames.flatMap((kind) => [...kinds[kind]])

/** `a` or `an`, as spelling asks. */
export function article(word: string): string {
  return /^[aeiou]/.test(word) ? 'an' : 'a'
}
