/** The database of a `TrustWorld`: the certificates of its backends, and what people do with them. */
import type { Clock } from '../../src/lib/clock.ts'
import type { AllowedRow } from '../../src/store/trust-store.ts'

const retireAfterMs = 600_000
const lifetimesMs = [60_000, 3_600_000, 86_400_000, 60 * 86_400_000]

export interface Row {
  readonly serial: string
  readonly backendId: string
  readonly notAfter: number
  readonly bornAt: number
  retiresAt: number | null
  isUsed: boolean
  isRevoked: boolean
  /** When it last lost its right by somebody's doing; and when it last had it given back. */
  lostAt: number
  heldSince: number
}

/** What of the rows has changed. */
export interface Hint {
  readonly serials?: readonly string[]
  readonly backendIds?: readonly string[]
}

export class TrustRows {
  readonly #clock: Pick<Clock, 'now'>
  readonly #hint: (of: Hint) => void
  readonly #rows: Row[] = []
  readonly #enabled = new Set<string>()
  readonly #terminatedAt = new Map<string, number>()

  constructor(clock: Pick<Clock, 'now'>, hint: (of: Hint) => void) {
    this.#clock = clock
    this.#hint = hint
  }

  get all(): readonly Row[] {
    return this.#rows
  }

  of(serial: string): Row {
    const row = this.#rows.find((one) => one.serial === serial)
    if (row === undefined) throw new Error(`nobody issued ${serial}`)
    return row
  }

  isEnabled(backendId: string): boolean {
    return this.#enabled.has(backendId)
  }

  isLive(row: Row): boolean {
    const now = this.#clock.now()
    const isInTime = now < row.notAfter && now < (row.retiresAt ?? Infinity)
    return isInTime && !row.isRevoked && this.isEnabled(row.backendId)
  }

  live(isWanted: (row: Row) => boolean): readonly AllowedRow[] {
    return this.#rows.filter((row) => this.isLive(row) && isWanted(row)).map(allowed)
  }

  /** When somebody, or a younger certificate, took its right; infinite if nobody did. */
  takenAt(row: Row): number {
    const isLost = row.isRevoked || !this.isEnabled(row.backendId)
    return Math.min(isLost ? row.lostAt : Infinity, row.retiresAt ?? Infinity)
  }

  /** @param which how long it lives */
  issue(backendId: string, which: number, serial: string): Row {
    if (!this.#rows.some((row) => row.backendId === backendId)) this.#enabled.add(backendId)
    const now = this.#clock.now()
    const row: Row = {
      ...{ serial, backendId, bornAt: now, retiresAt: null, isUsed: false, isRevoked: false },
      notAfter: now + (lifetimesMs[which % lifetimesMs.length] ?? 0),
      lostAt: this.isEnabled(backendId) ? (this.#terminatedAt.get(backendId) ?? -Infinity) : now,
      heldSince: now,
    }
    this.#rows.push(row)
    this.#hint({ serials: [serial] })
    return row
  }

  revoke(row: Row): void {
    if (row.isRevoked) return
    this.#lose(row)
    row.isRevoked = true
    this.#hint({ serials: [row.serial] })
  }

  terminate(backendId: string, isDeleted: boolean): void {
    for (const row of this.#rows) {
      if (row.backendId !== backendId) continue
      this.#lose(row)
      if (isDeleted) row.isRevoked = true
    }
    this.#enabled.delete(backendId)
    this.#terminatedAt.set(backendId, this.#clock.now())
    this.#hint({ backendIds: [backendId] })
  }

  enable(backendId: string): void {
    if (this.isEnabled(backendId)) return
    this.#enabled.add(backendId)
    for (const row of this.#rows) if (row.backendId === backendId) row.heldSince = this.#clock.now()
    this.#hint({ backendIds: [backendId] })
  }

  /** A certificate's first use retires the backend's others. */
  use(row: Row): void {
    if (row.isUsed) return
    row.isUsed = true
    for (const other of this.#rows) {
      if (other === row || other.backendId !== row.backendId || other.bornAt > row.bornAt) continue
      other.retiresAt = Math.min(other.retiresAt ?? Infinity, this.#clock.now() + retireAfterMs)
    }
    this.#hint({ backendIds: [row.backendId] })
  }

  #lose(row: Row): void {
    if (!row.isRevoked && this.isEnabled(row.backendId)) row.lostAt = this.#clock.now()
  }
}

export function allowed({ serial, backendId, notAfter, retiresAt }: Row): AllowedRow {
  return { serial, backendId, notAfter, retiresAt }
}
