import type { SweepReport } from '../model/sweep.ts'

/** Looks at the providers' lists, and what they led to. */
export interface SweepDesk {
  /** @throws MusterError `unavailable` while this daemon is not the active one, `not-found` */
  look(regionId: string, options: { readonly isDry: boolean }): Promise<SweepReport>
  /** What is held back in the region may go on for a while. @throws MusterError as `look` */
  confirm(regionId: string, actor: string): Promise<void>
  /** Endings that the blast radius holds back now. */
  held(regionId: string): number
  /** When the last whole look ended, in milliseconds since the epoch. */
  lastLook(regionId: string): number | undefined
}
