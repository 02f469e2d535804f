/** Why a region is decided. Causes of repeats are merged into one event; none is swallowed. */
export type Cause =
  | { readonly kind: 'tick'; readonly schedule: string }
  | { readonly kind: 'change'; readonly table: string }
  | { readonly kind: 'resync'; readonly why: 'start' | 'timer' | 'gap' | 'reconnect' | 'commit-refused' }
  | { readonly kind: 'deadline' }
  | { readonly kind: 'assign'; readonly outcome: string }
  | { readonly kind: 'manager'; readonly what: 'connected' | 'disconnected' | 'drained' | 'interrupted' }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'api'; readonly what: string }

/** What woke a region: a hint, never the truth. Algorithms may look at it; the rows decide. */
export interface FleetEvent {
  readonly regionId: string
  readonly causes: readonly Cause[]
}

/** Whether one of the merged causes is a scheduled tick: scale-down waits for it. */
export function isTick(event: FleetEvent): boolean {
  return event.causes.some((cause) => cause.kind === 'tick')
}
