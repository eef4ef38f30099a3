/**
 * The floors of gpu-node: which folder may import from which, type-only imports included. A folder stands above all
 * that it may import, so no two can import each other; what it does not name, it must not know. Tests may look
 * anywhere; test support (`testing/`) stands above the product, which must not know it.
 */
import type { IConfiguration } from 'dependency-cruiser'

type Rules = NonNullable<IConfiguration['forbidden']>

/** From the ground up. Files of src itself (random numbers, the disk cache, …) stand below all of them. */
export const floors: Readonly<Record<string, readonly string[]>> = {
  'native-libraries': [],
  ops: [],
  collectives: [],
  backends: ['native-libraries', 'ops'],
  linalg: ['native-libraries'],
  model: ['ops'],
  tokenizer: ['model'],
  data: ['model', 'tokenizer'],
  tasks: ['data'],
  eval: ['ops', 'model', 'tokenizer', 'data'],
  benchmarks: ['model', 'tokenizer', 'data', 'eval'],
  export: ['linalg', 'model'],
  inspect: ['linalg', 'model'],
  hub: [],
  optim: ['ops', 'collectives'],
  methods: ['ops', 'collectives', 'linalg', 'model', 'export', 'optim'],
  train: ['ops', 'collectives', 'linalg', 'model', 'data', 'optim', 'methods'],
  pretrain: ['backends', 'model', 'tokenizer', 'data', 'tasks', 'train'],
  run: [
    'backends',
    'collectives',
    'linalg',
    'model',
    'tokenizer',
    'data',
    'tasks',
    'eval',
    'benchmarks',
    'export',
    'optim',
    'methods',
    'train',
  ],
  daemon: ['backends', 'model', 'run'],
  cli: ['backends', 'linalg', 'model', 'tokenizer', 'eval', 'benchmarks', 'inspect', 'hub', 'run', 'daemon'],
}

const source = '^gpu-node/src/'
const tests = '\\.test\\.ts$'
const inside = (folders: readonly string[]) => `${source}(${folders.join('|')})/`

/** One rule per folder, one for what lies in none of them, one for the product and test support. */
export function floorRules(allowed: typeof floors = floors): Rules {
  return [
    ...Object.entries(allowed).map(([folder, below]) => ({
      name: `floor-of-${folder}`,
      comment: `${folder} may import from ${below.join(', ') || 'no other folder'} (scripts/gpu-node-floors.ts).`,
      severity: 'error' as const,
      from: { path: inside([folder]), pathNot: tests },
      to: { path: `${source}[^/]+/`, pathNot: inside([folder, ...below]) },
    })),
    {
      name: 'ground-floor',
      comment: 'Files of gpu-node/src itself, and the build of the kernels, know no folder.',
      severity: 'error',
      from: { path: ['^gpu-node/src/[^/]+$', '^gpu-node/kernels/'], pathNot: tests },
      to: { path: `${source}[^/]+/` },
    },
    {
      name: 'every-folder-has-a-floor',
      comment: 'A new folder needs its row in scripts/gpu-node-floors.ts.',
      severity: 'error',
      from: { path: `${source}[^/]+/`, pathNot: inside([...Object.keys(allowed), 'testing']) },
      to: {},
    },
    {
      name: 'product-without-test-support',
      comment: 'testing/ holds fakes, oracles and toy models; the product must not know them.',
      severity: 'error',
      from: {
        path: '^(protocol|launch|server|gpu-node|apps|scripts)/',
        pathNot: ['/testing/', '\\.test\\.tsx?$'],
      },
      to: { path: '/testing/' },
    },
  ]
}
