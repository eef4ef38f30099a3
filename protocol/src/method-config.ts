/**
 * The fine-tuning methods and their hyperparameters: one schema each, joined by `name`. Numbers follow
 * the HD-PiSSA paper (arXiv 2505.18777) and, where it is silent, its released code; docs/methods.md says
 * which. The number of devices K is a property of the run (`parallel.devices`), not of the method.
 */
import { z } from 'zod'
import { field } from './field.ts'

const rank = field(z.int().min(1).max(4096).default(16), {
  title: 'Rank r',
  description: 'Rank of each adapter; per device for HD-PiSSA.',
})
const alpha = field(z.number().positive().nullable().default(null), {
  title: 'Alpha',
  description: 'Scale numerator, scale = alpha / r; empty means alpha = r, a scale of 1.',
})
const dropout = field(z.number().min(0).max(0.95).default(0), {
  title: 'Dropout',
  description: 'Probability of dropping an entry of the adapter’s input during training.',
  advanced: true,
})
const svd = field(z.enum(['full', 'randomized']).default('full'), {
  title: 'SVD',
  description: 'Exact decomposition, or randomized subspace iteration with oversampling.',
  advanced: true,
})
const svdIterations = field(z.int().min(1).max(64).default(16), {
  title: 'SVD iterations',
  description: 'Power iterations of the randomized SVD; no effect with the full SVD.',
  advanced: true,
})
const aggregate = field(z.enum(['mean', 'sum']).default('mean'), {
  title: 'Aggregate',
  description:
    'How device updates are joined: the paper’s equation averages, its released code sums (a K times larger step).',
})
const secondOrder = field(z.boolean().default(true), {
  title: 'Second-order term',
  description: 'Include ΔA ΔB in the update; without it the update’s rank never exceeds 2Kr.',
  advanced: true,
})
const compensated = field(z.enum(['none', 'kahan', 'separate']).default('none'), {
  title: 'Compensated accumulation',
  description:
    'Carry the rounding error of W += ΔW along (kahan), or keep ΔW in a matrix of its own (separate).',
  advanced: true,
})
const weightStorage = field(z.enum(['float32', 'bfloat16']).default('float32'), {
  title: 'Weight storage',
  description:
    'bfloat16: round the target weights at the start and after every step, as the released code’s --bf16 does: small updates vanish. To show that, not to train with.',
  advanced: true,
})
const attribution = field(z.boolean().default(false), {
  title: 'Attribute the update',
  description:
    'Keep first-order factors, second-order part and rounding residual apart and record a spectrum of each.',
  advanced: true,
})
const alphaMode = field(z.enum(['gradient', 'peft', 'none']).default('gradient'), {
  title: 'Alpha mode',
  description:
    'gradient: alpha / r scales gradients only, as released; peft: as PiSSA in PEFT, singular values divided by the scale and ΔW multiplied by it; none: ignored.',
  advanced: true,
})
const legacyFloorAlpha = field(z.boolean().default(false), {
  title: 'Floor alpha / r',
  description: 'Use the released code’s integer division alpha // r; refused where it gives 0.',
  advanced: true,
})
const mute = field(
  z
    .union([
      z.literal('exact'),
      z.strictObject({
        literal: field(z.number().min(1e-37).max(1), {
          title: 'Mute scalar γ',
          description: 'The adapter’s factor in the forward pass; gradients are divided by it.',
          logarithmic: true,
        }),
        flushSubnormals: field(z.boolean().default(false), {
          title: 'Flush subnormals',
          description: 'Emulate kernels that replace subnormal numbers by zero.',
        }),
      }),
    ])
    .default('exact'),
  {
    title: 'Mute',
    description:
      'exact: the limit γ → 0 in closed form; literal: the paper’s scalar γ, to reproduce Figure 8.',
    advanced: true,
  },
)

export const methodSchemas = {
  full: z.strictObject({
    name: z.literal('full'),
    scope: field(z.enum(['all', 'linears']).default('all'), {
      title: 'Scope',
      description: 'Train every parameter, or only the target linear layers.',
    }),
  }),
  lora: z.strictObject({
    name: z.literal('lora'),
    rank,
    alpha,
    rankStabilized: field(z.boolean().default(false), {
      title: 'Rank-stabilised scale',
      description: 'Scale by alpha / √r (rsLoRA) instead of alpha / r.',
      advanced: true,
    }),
    init: field(z.enum(['kaiming', 'gaussian']).default('kaiming'), {
      title: 'Initialisation of A',
      description: 'kaiming: uniform in ±1/√m; gaussian: standard deviation 1/r. B starts at zero.',
      advanced: true,
    }),
    dropout,
  }),
  pissa: z.strictObject({ name: z.literal('pissa'), rank, alpha, svd, svdIterations }),
  'hd-pissa': z.strictObject({
    name: z.literal('hd-pissa'),
    rank,
    alpha,
    aggregate,
    adapters: field(z.enum(['fixed', 'evolving']).default('fixed'), {
      title: 'Adapters',
      description:
        'fixed: A and B never change (paper and code); evolving: they follow their own updates, K = 1 is then PiSSA.',
      advanced: true,
    }),
    secondOrder,
    slices: field(z.enum(['contiguous', 'strided', 'random', 'shared-top']).default('contiguous'), {
      title: 'Slices',
      description:
        'Which principal components device k gets; shared-top gives every device the first r (Top-Rank ablation).',
      advanced: true,
    }),
    clampRank: field(z.boolean().default(false), {
      title: 'Clamp K·r',
      description:
        'Where K·r exceeds min(m, n), give the last devices fewer components (padded with zeros) instead of refusing.',
      advanced: true,
    }),
    mute,
    alphaMode,
    legacyFloorAlpha,
    dropout,
    dropoutMode: field(z.enum(['input', 'weight']).default('input'), {
      title: 'Dropout mode',
      description: 'input: drop entries of X; weight: one mask on the dense muted product, as released.',
      advanced: true,
    }),
    compensated,
    weightStorage,
    attribution,
    svd,
    svdIterations,
  }),
  dora: z.strictObject({
    name: z.literal('dora'),
    rank,
    alpha,
    detachNorm: field(z.boolean().default(true), {
      title: 'Detach the norm',
      description: 'Treat the column norms as constants in the backward pass, as PEFT does.',
      advanced: true,
    }),
    dropout,
  }),
  mora: z.strictObject({
    name: z.literal('mora'),
    rank,
    type: field(z.literal([1, 6]).default(6), {
      title: 'Type',
      description: '1: sharing, for large ranks; 6: rotation, for small ranks (the paper’s Table 2).',
    }),
    dropout,
  }),
  hira: z.strictObject({ name: z.literal('hira'), rank, dropout }),
  'lora-dwu': z.strictObject({
    name: z.literal('lora-dwu'),
    rank,
    alpha,
    aggregate,
    sharedInit: field(z.boolean().default(false), {
      title: 'Shared initialisation',
      description: 'Give every device the same random A, instead of a draw of its own.',
    }),
  }),
  intermediate: z.strictObject({
    name: z.literal('intermediate'),
    rank,
    aggregate,
    syncEvery: field(z.int().min(1).nullable().default(null), {
      title: 'Synchronise every',
      description: 'Merge the devices’ adapters into W every τ steps; empty means only at the end.',
      unit: 'steps',
    }),
    svd,
    svdIterations,
  }),
} as const

export type MethodName = keyof typeof methodSchemas
export const methodNames = Object.keys(methodSchemas) as MethodName[]

export const methodConfigSchema = z.discriminatedUnion('name', [
  methodSchemas.full,
  methodSchemas.lora,
  methodSchemas.pissa,
  methodSchemas['hd-pissa'],
  methodSchemas.dora,
  methodSchemas.mora,
  methodSchemas.hira,
  methodSchemas['lora-dwu'],
  methodSchemas.intermediate,
])
export type MethodConfig = z.infer<typeof methodConfigSchema>
export type MethodConfigOf<N extends MethodName> = Extract<MethodConfig, { name: N }>

/** What people call the method; the order is the order of menus and legends. */
export const methodLabels = {
  lora: 'LoRA',
  pissa: 'PiSSA',
  'hd-pissa': 'HD-PiSSA',
  full: 'Full fine-tuning',
  dora: 'DoRA',
  mora: 'MoRA',
  hira: 'HiRA',
  'lora-dwu': 'LoRA init + direct weight update',
  intermediate: 'Intermediate (unsynchronised)',
} as const satisfies Record<MethodName, string>

/** alpha with its default: alpha = r. */
export function effectiveAlpha(method: { rank: number; alpha: number | null }): number {
  return method.alpha ?? method.rank
}
