/** Names that can be said aloud: `lora-brave-otter`. The same start gives the same sequence of names. */

const adjectives =
  'able amber ample azure bold brave brisk bright calm candid clear clever cosmic crisp daring deft eager early fair fleet fond fresh gentle glad golden grand happy hardy honest humble ideal jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble noble novel patient placid polite proud quick quiet rapid ready regal robust rosy royal sage sharp silent silver smart smooth snug solar solid spry steady stellar stout sunny super swift tidy tranquil true upbeat valid velvet vital vivid warm wise witty worthy young zesty'.split(
    ' ',
  )
const animals =
  'adder badger bat bear beaver bison boar bobcat camel caribou cat civet cobra condor coral crab crane crow deer dingo dolphin dove eagle egret elk falcon ferret finch fox frog gazelle gecko gibbon goat goose gopher hare hawk heron hornet horse husky ibex ibis iguana jackal jaguar jay kestrel kite koala lark lemur leopard lion lizard llama lynx magpie marmot marten mink mole moose moth mouse newt ocelot osprey otter owl panda panther parrot pelican penguin pigeon pony puffin puma quail rabbit raven robin salmon seal shrew skunk sloth snail sparrow squid stork swan tapir tiger toad toucan trout turtle viper vole walrus weasel whale wolf wombat wren yak zebra'.split(
    ' ',
  )

/** The `index`-th name; all combinations come before any repeats. */
export function pronounceableName(prefix: string, index: number): string {
  const count = adjectives.length * animals.length
  // A stride near the golden section, coprime to the count: neighbours in time share no word.
  let stride = Math.floor(count * 0.618)
  while (greatestCommonDivisor(stride, count) !== 1) stride++
  const place = (index * stride) % count
  const adjective = adjectives[place % adjectives.length]!
  const animal = animals[Math.floor(place / adjectives.length)]!
  return `${prefix}-${adjective}-${animal}`
}

function greatestCommonDivisor(left: number, right: number): number {
  return right === 0 ? left : greatestCommonDivisor(right, left % right)
}
