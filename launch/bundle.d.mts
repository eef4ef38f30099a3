/** See bundle.mjs. */
export function prepare(root: string, entries: readonly string[], folder: string): Promise<string[]>
