/**
 * The lines of those who wait in one region: one for each list of images that will do for somebody. Within a line the first
 * to come is the first to be served; who wants an image that is wanted in several lines goes by the same order (`isAhead`).
 */
import type { Wish } from './placement.ts'
import { WaitingLine } from './waiting-line.ts'

interface Person {
  readonly sequence: number
  readonly ticket: { readonly demandRegionId: string | undefined }
}

export interface Line<T> {
  readonly images: readonly string[]
  readonly waiters: WaitingLine<T & Person>
  /** Of the ACTIVE image's place: the one that is waited for instead. */
  other: string | undefined
  /** Waiters whose demand counts in this region. */
  counted: number
  isDirty: boolean
  isServed: boolean
}

export class RegionLines<T extends Person> {
  readonly #regionId: string
  readonly #lines = new Map<string, Line<T>>()
  readonly #lineOf = new Map<T, Line<T>>()

  constructor(regionId: string) {
    this.#regionId = regionId
  }

  get isEmpty(): boolean {
    return this.#lines.size === 0
  }

  all(): readonly Line<T>[] {
    return [...this.#lines.values()]
  }

  /** Takes the place that the arrival gives it. */
  join(person: T, { images, other }: Wish): void {
    // No text of PostgreSQL holds the separator.
    const key = images.join('\0')
    let line = this.#lines.get(key)
    if (line === undefined) {
      line = { images, waiters: new WaitingLine(), other, counted: 0, isDirty: true, isServed: false }
      this.#lines.set(key, line)
    }
    line.other = other
    line.waiters.join(person)
    if (person.ticket.demandRegionId === this.#regionId) line.counted += 1
    this.#lineOf.set(person, line)
  }

  /** Gives whether somebody may move up for it. */
  leave(person: T): boolean {
    const line = this.#lineOf.get(person)
    if (line === undefined) return false
    const wasHead = line.waiters.head === person
    line.waiters.leave(person)
    if (person.ticket.demandRegionId === this.#regionId) line.counted -= 1
    this.#lineOf.delete(person)
    this.tidy(line)
    return wasHead
  }

  /** Everybody leaves, for other lines; gives them in the order of their arrival. */
  clear(): readonly T[] {
    const people = [...this.#lineOf.keys()].sort((one, other) => one.sequence - other.sequence)
    for (const person of people) this.leave(person)
    return people
  }

  /** A line that nobody stands in and nobody serves is taken away. */
  tidy(line: Line<T>): void {
    if (line.waiters.size > 0 || line.isServed) return
    this.#lines.delete(line.images.join('\0'))
  }

  /** Whether somebody who came before the given number waits for the image, in whichever line. */
  isAhead(imageId: string, sequence: number): boolean {
    for (const { images, waiters } of this.#lines.values()) {
      if (waiters.head !== undefined && waiters.head.sequence < sequence && images.includes(imageId))
        return true
    }
    return false
  }

  /** How many, of those whose demand counts here, wait for another image than the ACTIVE one, by its id. */
  countedByOther(): Readonly<Record<string, number>> {
    const counts = new Map<string, number>()
    for (const { other, counted } of this.#lines.values()) {
      if (other !== undefined && counted > 0) counts.set(other, (counts.get(other) ?? 0) + counted)
    }
    return Object.fromEntries(counts)
  }
}
