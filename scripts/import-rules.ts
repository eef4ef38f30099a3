/** Who may import whom; check-imports.ts holds the sources to it. */
import type { IConfiguration, ICruiseOptions } from 'dependency-cruiser'
import { floorRules } from './gpu-node-floors.ts'

const sources = '^(protocol|experiments|launch|server|gpu-node|apps|scripts|bench|e2e)/'

export const forbidden: NonNullable<IConfiguration['forbidden']> = [
  {
    name: 'protocol-imports-only-zod',
    comment: 'The protocol is what the three sides share: it must run anywhere.',
    severity: 'error',
    from: { path: '^protocol/src/', pathNot: '\\.test\\.ts$' },
    to: { pathNot: ['^protocol/src/', '^node_modules/zod/'] },
  },
  {
    name: 'experiments-import-the-protocol',
    comment:
      'Sweeps and their statistics serve the browser and the command line alike: pure, over the protocol’s types.',
    severity: 'error',
    from: { path: '^experiments/src/', pathNot: '\\.test\\.ts$' },
    to: { pathNot: ['^experiments/src/', '^protocol/src/', '^node_modules/zod/'] },
  },
  {
    name: 'server-stands-alone',
    comment: 'The server talks with nodes and browsers by messages of the protocol only.',
    severity: 'error',
    from: { path: '^server/' },
    to: { path: '^(gpu-node|apps|scripts|bench|e2e)/' },
  },
  {
    name: 'gpu-node-stands-alone',
    comment: 'A node may be installed without the server or the dashboard.',
    severity: 'error',
    from: { path: '^gpu-node/' },
    to: { path: '^(server|apps|scripts|bench|e2e)/' },
  },
  ...floorRules(),
  {
    name: 'apps-stand-alone',
    comment: 'The dashboard knows the server by its protocol only.',
    severity: 'error',
    from: { path: '^apps/' },
    to: { path: '^(server|gpu-node|scripts|bench|e2e)/' },
  },
  {
    name: 'no-node-in-the-browser',
    comment: 'Modules of Node do not exist there.',
    severity: 'error',
    from: { path: '^apps/[^/]+/src/', pathNot: '\\.test\\.tsx?$' },
    to: { dependencyTypes: ['core'] },
  },
  {
    name: 'no-cycles',
    comment: 'Siblings do not know each other; what they share has a file of its own.',
    severity: 'error',
    from: { path: sources },
    to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
  },
  {
    name: 'no-tests-in-the-product',
    severity: 'error',
    from: { path: sources, pathNot: '\\.(test|spec)\\.tsx?$' },
    to: { path: '\\.(test|spec)\\.tsx?$' },
  },
  {
    name: 'everything-resolves',
    severity: 'error',
    from: { path: sources },
    // Optional backends: their packages are installed on request.
    to: { couldNotResolve: true, pathNot: '^(@tensorflow/tfjs-(node|node-gpu|backend-webgpu)|webgpu)$' },
  },
]

export const options: ICruiseOptions = {
  doNotFollow: { path: 'node_modules' },
  exclude: { path: '(^|/)(dist|build|report|results)/|^bench/_' },
  tsPreCompilationDeps: true,
  enhancedResolveOptions: {
    exportsFields: ['exports'],
    conditionNames: ['import', 'node', 'default', 'types'],
    extensions: ['.ts', '.tsx', '.mjs', '.js', '.json', '.css'],
  },
}
