export interface BackoffOptions {
  readonly firstMs: number
  readonly longestMs: number
  /** 0 to 1: the share of the wait that is left to chance. */
  readonly jitter?: number
}

/** How long to wait after the given number of failures (1 or more): doubling, bounded, in milliseconds. */
export function backoffMs(
  failures: number,
  options: BackoffOptions,
  random: () => number = Math.random,
): number {
  const full = Math.min(options.longestMs, options.firstMs * 2 ** Math.min(failures - 1, 40))
  const jitter = options.jitter ?? 0
  return Math.round(full * (1 - jitter * random()))
}
