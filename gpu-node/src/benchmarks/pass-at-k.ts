/** pass@k (Chen et al. 2021, arXiv 2107.03374): the chance that one of k completions passes, estimated from n ≥ k of them. */

/** 1 − C(n−c, k) / C(n, k) for `passed` = c of n: unbiased, as a product, which does not overflow. */
export function passAtK(n: number, passed: number, k: number): number {
  if (n - passed < k) return 1
  let allFail = 1
  for (let i = n - passed + 1; i <= n; i++) allFail *= 1 - k / i
  return 1 - allFail
}
