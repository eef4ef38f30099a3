/** Configurations and records for tests. */
import {
  type NodeHello,
  type RecordBody,
  type RunConfig,
  type RunRecord,
  runConfigSchema,
  toFloat64Bytes,
} from '@rankscope/protocol'

export function sampleConfig(changes: Record<string, unknown> = {}): RunConfig {
  return runConfigSchema.parse({
    data: { source: { kind: 'task', task: 'arithmetic' } },
    method: { name: 'lora' },
    ...changes,
  })
}

export function record(runId: string, seq: number, body: RecordBody, attempt = 1): RunRecord {
  return { runId, attempt, seq, timeMs: 1000 + seq, body }
}

export function scalars(step: number, values: Record<string, number>): RecordBody {
  return { kind: 'scalars', step, values }
}

export function lifecycle(
  state: Extract<RecordBody, { kind: 'lifecycle' }>['state'],
  error: Extract<RecordBody, { kind: 'lifecycle' }>['error'] = null,
): RecordBody {
  return { kind: 'lifecycle', state, error }
}

export function startBody(startStep = 0, totalSteps = 100): RecordBody {
  return {
    kind: 'start',
    backend: 'cpu',
    computedBy: 'cpu: TensorFlow.js',
    threads: 1,
    totalSteps,
    startStep,
    trainableParameters: 10,
    totalParameters: 100,
    modules: [{ name: 'model.layers.0.self_attn.q_proj', rows: 4, columns: 4 }],
    warnings: [],
    data: [],
  }
}

export function spectrum(step: number, singularValues: number[], final = false): RecordBody {
  return {
    kind: 'spectrum',
    step,
    module: 'model.layers.0.self_attn.q_proj',
    part: 'total',
    rows: 4,
    columns: 4,
    singularValues: toFloat64Bytes(singularValues),
    frobenius: 1.5,
    measures: {
      numericalRank: 2,
      numericalRankThreshold: 1e-6,
      numericalRankFloat64: 3,
      energyRank90: 1,
      energyRank99: 2,
      effectiveRank: Number.NaN,
      spectralEntropyRank: 1.5,
      stableRank: 1.25,
      participationRatio: 1.75,
    },
    elapsedMs: 3,
    final,
  }
}

export function sampleHello(changes: Partial<NodeHello> = {}): NodeHello {
  return {
    nodeId: 'node-a',
    name: 'Node A',
    softwareVersion: '0.1.0',
    hostname: 'localhost',
    platform: 'linux',
    devices: [{ id: 'cpu', kind: 'cpu', name: 'CPU', memoryBytes: 8e9, cores: 2 }],
    slots: 2,
    threadsPerRun: 1,
    reach: null,
    backends: [{ name: 'cpu', available: true, detail: '' }],
    selectedBackend: 'cpu',
    models: [],
    data: [],
    activeRuns: [],
    instanceId: 'daemon-1',
    ...changes,
  }
}
