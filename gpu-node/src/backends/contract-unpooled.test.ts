/**
 * The contract once more on the emulated CUDA driver, without the pool: each tensor has memory of exactly its size, at an
 * address that is never used again, so that a kernel which reads or writes beside or after it is caught.
 */
process.env['RANKSCOPE_CUDA_POOL'] = 'off'
process.env['RANKSCOPE_CONTRACT'] = 'cuda, emulated'
await import('./contract.test.ts')
