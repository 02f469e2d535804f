/**
 * What a provider says of a machine that it will take, as the machine's manager tells it (docs/design/interruptions.md).
 * `interruption`: the machine ends at `at`, whatever runs there. `rebalance`: it may end soon, and is better left.
 */
export interface InterruptionNotice {
  readonly kind: 'interruption' | 'rebalance'
  /** Milliseconds since the epoch: of the end, or of the advice. */
  readonly at: number
  /** What the provider will do, in its own word (terminate, stop, hibernate); '' when it does not say. */
  readonly action: string
}
