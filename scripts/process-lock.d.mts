export function takeProcessLock(file: string): number | null
export function releaseProcessLock(file: string): void
