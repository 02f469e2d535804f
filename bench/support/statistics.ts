/** The value that `percent` of the samples do not pass. @throws RangeError without samples */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1)]
  if (value === undefined) throw new RangeError('no samples')
  return value
}

/** Milliseconds of the machine's monotonic clock: comparable between processes. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
