/** Where and when something was measured, as one sentence for a page. */
import { availableParallelism, cpus, totalmem } from 'node:os'

export function today(): string {
  return new Date().toISOString().slice(0, 10)
}

/** `software`: what ran, e.g. the backend's description. */
export function machineLine(software: string): string {
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor'
  const memory = Math.round(totalmem() / 1e9)
  return `${processor}, ${availableParallelism()} cores, ${memory} GB; ${today()}; Node ${process.versions.node}; ${software}.`
}
