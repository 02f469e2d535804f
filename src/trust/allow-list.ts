/**
 * The certificates that open the managers' door: those that the database says are live, in memory. An allow-list, not a
 * deny-list: a serial that was never heard of is refused. While the database is away nothing new is let in, and what is
 * connected stays (`isTrusted` is false).
 *
 * Answers of the database may arrive out of order, and an old one must not let a revoked certificate in again. So a
 * `reading` begins before the query and knows what came to pass meanwhile; only removals need none.
 */
import type { Clock } from '../lib/clock.ts'

/** Times are milliseconds since the epoch. */
export interface AllowedCertificate {
  /** 32 lower-case hex characters. */
  readonly serial: string
  readonly backendId: string
  readonly notAfter: number
  /** From then on it opens no door: a younger certificate of the backend is in use. */
  readonly retiresAt?: number | null | undefined
}

export type NotAllowed = 'unknown' | 'expired' | 'not-loaded'

export interface AllowListListener {
  /** These serials have lost their right. */
  removed(serials: readonly string[]): void
  /** These were known already, and end at another time now. */
  changed(certificates: readonly AllowedCertificate[]): void
}

/**
 * A query under way. One of its methods is called, once, when its answer is here; or none, when it failed. Each gives the
 * serials that another answer, heard while it was under way, says otherwise of: it cannot be told which was read later, so
 * they are to be read again (the next reading of everything does, too). Until then those that were not in the list are not
 * let in, and those that were stay.
 */
export interface Reading {
  /**
   * The answer is every live certificate there is. The list is trusted from now on, unless what changed since the question
   * was asked may not have been heard. Ask for everything once at a time: of two such answers the one that was asked for
   * later is believed, though the other may have been read later.
   */
  replace(all: readonly AllowedCertificate[], isHeard?: boolean): readonly string[]
  /**
   * The answer is about some certificates: these are live, those are not. Of the backends in `whole` it says everything,
   * so an earlier reading that has more of them is not believed.
   */
  apply(
    set: readonly AllowedCertificate[],
    removed?: readonly string[],
    whole?: readonly string[],
  ): readonly string[]
}

interface OpenReading {
  readonly order: number
  /** A later reading of everything was answered first, or the database went away. */
  isOvertaken: boolean
  /** Of what newer news was heard since this one began. */
  readonly serials: Set<string>
  readonly backendIds: Set<string>
  /** What readings that began earlier let in since this one began. */
  readonly letIn: Set<string>
}

export class AllowList {
  readonly #clock: Pick<Clock, 'now'>
  readonly #bySerial = new Map<string, AllowedCertificate>()
  readonly #byBackend = new Map<string, Set<string>>()
  readonly #listeners = new Set<AllowListListener>()
  /** Weakly held: a reading that failed is simply forgotten. */
  #readings: WeakRef<OpenReading>[] = []
  #order = 0
  #isTrusted = false

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** False until first loaded and while the database is away. */
  get isTrusted(): boolean {
    return this.#isTrusted
  }

  get size(): number {
    return this.#bySerial.size
  }

  /** The database is not heard: admit nobody until everything was read anew, by a reading that begins after this. */
  distrust(): void {
    this.#isTrusted = false
    for (const open of this.#openReadings()) open.isOvertaken = true
  }

  /** Begin before the query is sent. */
  reading(): Reading {
    const open: OpenReading = {
      order: (this.#order += 1),
      isOvertaken: false,
      serials: new Set(),
      backendIds: new Set(),
      letIn: new Set(),
    }
    this.#readings.push(new WeakRef(open))
    const finish = (): void => {
      this.#readings = this.#readings.filter((held) => (held.deref() ?? open) !== open)
    }
    return {
      replace: (all, isHeard = true) => {
        finish()
        return this.#replace(open, all, isHeard)
      },
      apply: (set, removed = [], whole = []) => {
        finish()
        return this.#apply(open, set, removed, whole)
      },
    }
  }

  /** `reading().replace(all)`, for rows that are of this very moment. */
  replace(all: readonly AllowedCertificate[]): void {
    this.reading().replace(all)
  }

  /** `reading().apply(set, removed)`, for rows that are of this very moment. */
  apply(set: readonly AllowedCertificate[], removed: readonly string[] = []): void {
    this.reading().apply(set, removed)
  }

  /** Certificates that were revoked: at once, and whatever an older answer may still say. */
  remove(serials: readonly string[]): void {
    for (const open of this.#openReadings()) for (const serial of serials) open.serials.add(serial)
    this.#delete(serials)
  }

  /** A backend that may no longer connect, as `remove` of all that it has. */
  removeBackend(backendId: string): void {
    for (const open of this.#openReadings()) open.backendIds.add(backendId)
    this.#delete([...(this.#byBackend.get(backendId) ?? [])])
  }

  /** The certificate, if it opens the door at this moment; else why not. */
  lookup(serial: string): AllowedCertificate | NotAllowed {
    if (!this.#isTrusted) return 'not-loaded'
    const found = this.#bySerial.get(serial)
    if (found === undefined) return 'unknown'
    return this.#clock.now() < rightEndsAt(found) ? found : 'expired'
  }

  /** The serials of a backend's certificates that are in the list. */
  of(backendId: string): readonly string[] {
    return [...(this.#byBackend.get(backendId) ?? [])]
  }

  /** What is known of a certificate, trusted or not. */
  get(serial: string): AllowedCertificate | undefined {
    return this.#bySerial.get(serial)
  }

  /** Hear of what changes; gives a function that ends it. */
  listen(listener: AllowListListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** `listen` to removals only. */
  onRemoved(listener: (serials: readonly string[]) => void): () => void {
    return this.listen({ removed: listener, changed: () => undefined })
  }

  #replace(open: OpenReading, all: readonly AllowedCertificate[], isHeard: boolean): readonly string[] {
    if (open.isOvertaken) return []
    for (const earlier of this.#openReadings()) if (earlier.order < open.order) earlier.isOvertaken = true
    const listed = new Set(all.map(({ serial }) => serial))
    const unlisted = [...this.#bySerial.keys()].filter(
      (serial) => !listed.has(serial) && !open.serials.has(serial),
    )
    if (isHeard) this.#isTrusted = true
    this.#set(all.filter((certificate) => isNews(open, certificate)))
    this.#delete(unlisted.filter((serial) => !open.letIn.has(serial)))
    // Let in by an earlier reading while this one was under way: it cannot be told which was read later.
    return [...this.#passedOver(open, all), ...unlisted.filter((serial) => open.letIn.has(serial))]
  }

  #apply(
    open: OpenReading,
    set: readonly AllowedCertificate[],
    removed: readonly string[],
    whole: readonly string[],
  ): readonly string[] {
    if (open.isOvertaken)
      return set.map(({ serial }) => serial).filter((serial) => !this.#bySerial.has(serial))
    for (const other of this.#openReadings()) {
      // A reading that began later may know better; one that began earlier may not.
      if (other.order > open.order) {
        for (const { serial } of set) other.letIn.add(serial)
        continue
      }
      for (const { serial } of set) other.serials.add(serial)
      for (const serial of removed) other.serials.add(serial)
      for (const backendId of whole) other.backendIds.add(backendId)
    }
    this.#set(set.filter((certificate) => isNews(open, certificate)))
    this.#delete(removed.filter((serial) => !open.serials.has(serial)))
    // Let in by an earlier reading while this one was under way: it cannot be told which was read later.
    const unsaid = whole
      .flatMap((backendId) => this.of(backendId))
      .filter((serial) => !open.serials.has(serial) && !set.some((one) => one.serial === serial))
    return [...this.#passedOver(open, set), ...unsaid]
  }

  #passedOver(open: OpenReading, set: readonly AllowedCertificate[]): readonly string[] {
    return set
      .filter((certificate) => !isNews(open, certificate) && !this.#bySerial.has(certificate.serial))
      .map(({ serial }) => serial)
  }

  #openReadings(): readonly OpenReading[] {
    return this.#readings.map((held) => held.deref()).filter((open) => open !== undefined)
  }

  #set(certificates: readonly AllowedCertificate[]): void {
    const changed: AllowedCertificate[] = []
    for (const certificate of certificates) {
      const before = this.#bySerial.get(certificate.serial)
      this.#bySerial.set(certificate.serial, certificate)
      const ofBackend = this.#byBackend.get(certificate.backendId)
      if (ofBackend === undefined) this.#byBackend.set(certificate.backendId, new Set([certificate.serial]))
      else ofBackend.add(certificate.serial)
      if (before !== undefined && rightEndsAt(before) !== rightEndsAt(certificate)) changed.push(certificate)
    }
    if (changed.length > 0) for (const listener of this.#listeners) listener.changed(changed)
  }

  #delete(serials: readonly string[]): void {
    const removed = serials.filter((serial) => {
      const certificate = this.#bySerial.get(serial)
      if (certificate === undefined) return false
      this.#bySerial.delete(serial)
      const ofBackend = this.#byBackend.get(certificate.backendId)
      ofBackend?.delete(serial)
      if (ofBackend?.size === 0) this.#byBackend.delete(certificate.backendId)
      return true
    })
    if (removed.length > 0) for (const listener of this.#listeners) listener.removed(removed)
  }
}

/** From this moment a certificate opens no door, milliseconds since the epoch. */
export function rightEndsAt({ notAfter, retiresAt }: AllowedCertificate): number {
  return Math.min(notAfter, retiresAt ?? Infinity)
}

function isNews(open: OpenReading, { serial, backendId }: AllowedCertificate): boolean {
  return !open.serials.has(serial) && !open.backendIds.has(backendId)
}
