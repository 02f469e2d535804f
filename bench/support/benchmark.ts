/** What a benchmark is given and gives. Each measures its baseline in the same run; what counts are the ratios. */

export interface Benchmark {
  readonly name: string
  /** One line for `--help` and the heading. */
  readonly about: string
  run(context: BenchContext): Promise<readonly Figure[]>
}

export interface BenchContext {
  /** Of the database `postgres` on a cluster of the run's own. */
  readonly clusterUrl: string
  /** Where daemons write their CPU profiles; undefined: they take none. */
  readonly profileDir: string | undefined
  /** One line about what is under way. */
  readonly progress: (line: string) => void
}

export interface Figure {
  readonly what: string
  readonly unit: 'ms' | '/s' | '×' | 'MB'
  readonly measured: number
  readonly baseline?: number
  /** What the baseline is, when it is not the benchmark's usual one. */
  readonly against?: string
  readonly aim?: Aim
}

/** `ratio` is measured ÷ baseline. */
export interface Aim {
  readonly of: 'ratio' | 'measured'
  readonly most?: number
  readonly least?: number
}

export function ratioOf({ measured, baseline }: Figure): number | undefined {
  return baseline === undefined || baseline === 0 ? undefined : measured / baseline
}

/** Undefined for a figure without an aim. */
export function isMet(figure: Figure): boolean | undefined {
  const { aim } = figure
  if (aim === undefined) return undefined
  const value = aim.of === 'ratio' ? ratioOf(figure) : figure.measured
  if (value === undefined) return false
  return value <= (aim.most ?? Infinity) && value >= (aim.least ?? -Infinity)
}
