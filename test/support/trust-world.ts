/**
 * A fleet's certificates in simulated time: a database that people change, a daemon that hears of it late and out of
 * order, managers that connect with whatever they have. It watches every connection, and throws when one outlives its
 * right by more than `graceMs`, or is closed while it has it.
 */
import type { Clock } from '../../src/lib/clock.ts'
import type { AllowedCertificate } from '../../src/trust/allow-list.ts'
import { AllowList } from '../../src/trust/allow-list.ts'
import type { CloseReason } from '../../src/trust/connections.ts'
import { Connections } from '../../src/trust/connections.ts'

export const graceMs = 100
/** Of each step of an answer's way; three of them are within the grace. */
const mostDelayMs = 30
const retireAfterMs = 600_000

export const actKinds = [
  'enrol',
  'renew',
  'connect',
  'disconnect',
  'revoke',
  'terminate',
  'enable',
  'delete',
  'restart',
  'away',
  'back',
  'resync',
  'pass',
] as const

export interface Act {
  readonly kind: (typeof actKinds)[number]
  /** Which certificate, backend or connection. */
  readonly which: number
  /** Done by somebody else: this daemon only hears of it. */
  readonly isForeign: boolean
  /** Time that goes by afterwards, milliseconds. */
  readonly ms: number
}

const lifetimesMs = [60_000, 3_600_000, 86_400_000, 60 * 86_400_000]
const longestTimerMs = 2 ** 31 - 1

interface Row {
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

interface Socket {
  readonly serial: string
  readonly openedAt: number
  isOpen: boolean
  destroy(reason: CloseReason): void
}

/** Time that moves only by `advance`; what is due runs in order, and at once. */
class SimulatedClock implements Pick<Clock, 'now' | 'after'> {
  #now = 0
  #next = 0
  readonly #timers = new Map<number, { at: number; callback: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const key = (this.#next += 1)
    // As Node's: a timer never waits longer than this.
    this.#timers.set(key, { at: this.#now + Math.min(ms, longestTimerMs), callback })
    return () => this.#timers.delete(key)
  }

  advance(ms: number, afterEach: () => void): void {
    const until = this.#now + ms
    for (;;) {
      let due: [number, { at: number; callback: () => void }] | undefined
      for (const entry of this.#timers) if (entry[1].at <= (due?.[1].at ?? until + 1) - 1) due = entry
      if (due === undefined) break
      this.#timers.delete(due[0])
      this.#now = Math.max(this.#now, due[1].at)
      due[1].callback()
      afterEach()
    }
    this.#now = until
    afterEach()
  }
}

export class TrustWorld {
  readonly clock = new SimulatedClock()
  readonly #random: () => number
  readonly #rows: Row[] = []
  readonly #enabled = new Set<string>()
  readonly #terminatedAt = new Map<string, number>()
  #sockets: Socket[] = []
  #isAway = false
  #isReadingAll = false
  #isReadAllWanted = false
  #hearsSince = 0
  #list!: AllowList
  #connections!: Connections<Socket>
  #life = 0
  /** How often something happened that a run is about. */
  readonly counts = { admitted: 0, refused: 0, closed: 0, shared: 0 }

  constructor(seed: number) {
    this.#random = chance(seed)
    this.#start()
  }

  do({ kind, which, isForeign, ms }: Act): void {
    const row = this.#rows[which % Math.max(1, this.#rows.length)]
    const backendId = `b${which % 4}`
    const isReachable = isForeign || !this.#isAway
    if (kind === 'restart') this.#restart()
    else if (kind === 'away') this.#goAway()
    else if (kind === 'back') this.#comeBack()
    else if (kind === 'resync') this.#readAll()
    else if (kind === 'connect' && row !== undefined) this.#connect(row)
    else if (kind === 'disconnect') this.#disconnect(which)
    else if (kind === 'enrol' && isReachable) this.#issue(backendId, which, isForeign)
    else if (kind === 'renew' && isReachable && row !== undefined && this.#isLive(row)) {
      this.#issue(row.backendId, which, isForeign)
    } else if (kind === 'revoke' && isReachable && row !== undefined) this.#revoke(row, isForeign)
    else if (kind === 'terminate' && isReachable) this.#terminate(backendId, isForeign, false)
    else if (kind === 'delete' && isReachable) this.#terminate(backendId, isForeign, true)
    else if (kind === 'enable' && isReachable) this.#enable(backendId)
    this.check()
    this.clock.advance(ms, () => this.check())
  }

  /** Every connection that is open may be; throws else. */
  check(): void {
    for (const socket of this.#sockets) {
      if (socket.isOpen) this.#expectInTime(socket, 'is open')
    }
  }

  #start(): void {
    const life = (this.#life += 1)
    // The timers of a process die with it.
    const clock: Pick<Clock, 'now' | 'after'> = {
      now: () => this.clock.now(),
      after: (ms, callback) =>
        this.clock.after(ms, () => {
          if (life === this.#life) callback()
        }),
    }
    this.#list = new AllowList(clock)
    this.#connections = new Connections<Socket>({
      allowList: this.#list,
      clock,
      yieldTurn: (resume) => clock.after(1, resume),
      onShared: () => (this.counts.shared += 1),
    })
    if (life > 1) this.#hearsSince = this.clock.now()
    this.#isReadingAll = false
    this.#readAll()
  }

  /** The process dies, and its sockets with it. */
  #restart(): void {
    for (const socket of this.#sockets) socket.isOpen = false
    this.#sockets = []
    this.#start()
  }

  #goAway(): void {
    this.#isAway = true
    this.#isReadingAll = false
    this.#list.distrust()
  }

  #comeBack(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#hearsSince = this.clock.now()
    this.#readAll()
  }

  /** Once at a time. */
  #readAll(): void {
    if (this.#isAway) return
    if (this.#isReadingAll) {
      this.#isReadAllWanted = true
      return
    }
    this.#isReadingAll = true
    const hearsSince = this.#hearsSince
    const reading = this.#list.reading()
    this.#query(
      () => this.#rows.filter((row) => this.#isLive(row)).map(allowed),
      (rows) => {
        if (hearsSince !== this.#hearsSince) return
        this.#isReadingAll = false
        this.#readAgain(reading.replace(rows))
        if (this.#isReadAllWanted) this.#readAll()
        this.#isReadAllWanted = false
      },
    )
  }

  /** A hint arrives, and the rows that it names are read. */
  #hint(of: (row: Row) => boolean): void {
    this.#later(() => this.#read(of))
  }

  /** Its own removal is answered. It is read once more, in case that was given back before the answer came. */
  #removed(remove: () => void, of: (row: Row) => boolean): void {
    this.#answer(() => {
      remove()
      this.#read(of)
    })
  }

  #read(of: (row: Row) => boolean): void {
    if (this.#isAway) return
    const reading = this.#list.reading()
    this.#query(
      () => {
        const rows = this.#rows.filter(of)
        const live = rows.filter((row) => this.#isLive(row))
        return { set: live.map(allowed), removed: rows.filter((row) => !live.includes(row)).map(serialOf) }
      },
      ({ set, removed }) => this.#readAgain(reading.apply(set, removed)),
    )
  }

  #readAgain(serials: readonly string[]): void {
    if (serials.length > 0) this.#hint((row) => serials.includes(row.serial))
  }

  #issue(backendId: string, which: number, isForeign: boolean): void {
    // The daemon's own query: its reading begins before the row is there.
    const reading = isForeign || this.#isAway ? undefined : this.#list.reading()
    const known = this.#rows.some((row) => row.backendId === backendId)
    if (!known) this.#enabled.add(backendId)
    const now = this.clock.now()
    const row: Row = {
      serial: `s${this.#rows.length}`,
      backendId,
      notAfter: now + (lifetimesMs[which % lifetimesMs.length] ?? 0),
      bornAt: now,
      retiresAt: null,
      isUsed: false,
      isRevoked: false,
      lostAt: this.#enabled.has(backendId) ? (this.#terminatedAt.get(backendId) ?? -Infinity) : now,
      heldSince: now,
    }
    this.#rows.push(row)
    if (reading !== undefined) {
      const answer = this.#isLive(row) ? [allowed(row)] : []
      this.#answer(() => this.#readAgain(reading.apply(answer)))
    }
    this.#hint((other) => other === row)
  }

  #revoke(row: Row, isForeign: boolean): void {
    if (row.isRevoked) return
    this.#lose(row)
    row.isRevoked = true
    const isIt = (other: Row): boolean => other === row
    if (!isForeign) this.#removed(() => this.#list.remove([row.serial]), isIt)
    this.#hint(isIt)
  }

  #terminate(backendId: string, isForeign: boolean, isDeleted: boolean): void {
    const rows = this.#rows.filter((row) => row.backendId === backendId)
    for (const row of rows) {
      this.#lose(row)
      if (isDeleted) row.isRevoked = true
    }
    this.#enabled.delete(backendId)
    this.#terminatedAt.set(backendId, this.clock.now())
    const isIts = (row: Row): boolean => row.backendId === backendId
    if (!isForeign) this.#removed(() => this.#list.removeBackend(backendId), isIts)
    this.#hint(isIts)
  }

  #enable(backendId: string): void {
    if (this.#enabled.has(backendId)) return
    this.#enabled.add(backendId)
    for (const row of this.#rows) if (row.backendId === backendId) row.heldSince = this.clock.now()
    this.#hint((row) => row.backendId === backendId)
  }

  #connect(row: Row): void {
    const now = this.clock.now()
    const socket: Socket = {
      serial: row.serial,
      openedAt: now,
      isOpen: true,
      destroy: (reason) => this.#onDestroyed(socket, reason),
    }
    // By then it was read, and once more if the first answer could not be relied on.
    const since = Math.max(row.heldSince, this.#hearsSince)
    const isEntitled = this.#isLive(row) && !this.#isAway && now - since >= 2 * graceMs
    const verdict = this.#connections.admit(socket, row.serial)
    if (typeof verdict === 'string') {
      this.counts.refused += 1
      if (isEntitled) throw new Error(`${row.serial} was refused with its right: ${verdict}`)
      return
    }
    this.counts.admitted += 1
    if (this.#isAway) throw new Error(`${row.serial} was let in while the database is away`)
    this.#sockets.push(socket)
    this.check()
    if (row.isUsed) return
    // Its first use retires the backend's others.
    row.isUsed = true
    for (const other of this.#rows) {
      if (other === row || other.backendId !== row.backendId || other.bornAt > row.bornAt) continue
      other.retiresAt = Math.min(other.retiresAt ?? Infinity, now + retireAfterMs)
    }
    this.#hint((other) => other.backendId === row.backendId)
  }

  #disconnect(which: number): void {
    const open = this.#sockets.filter((socket) => socket.isOpen)
    const socket = open[which % Math.max(1, open.length)]
    if (socket === undefined) return
    socket.isOpen = false
    this.#connections.release(socket)
  }

  #onDestroyed(socket: Socket, reason: CloseReason): void {
    const isAdmitted = this.#sockets.includes(socket)
    if (!socket.isOpen) throw new Error(`${socket.serial} was closed twice (${reason})`)
    this.#expectInTime(socket, 'was closed')
    socket.isOpen = false
    if (!isAdmitted) return
    this.counts.closed += 1
    const row = this.#rowOf(socket.serial)
    const hasLost = !this.#isLive(row) || row.lostAt >= socket.openedAt - graceMs
    if (!hasLost) throw new Error(`${socket.serial} was closed with its right: ${reason}`)
  }

  #expectInTime(socket: Socket, what: string): void {
    const lateMs = this.clock.now() - this.#closesBy(this.#rowOf(socket.serial))
    if (lateMs > 0 && this.#sockets.includes(socket)) {
      throw new Error(`${socket.serial} ${what} ${lateMs} ms past the grace`)
    }
  }

  /** News needs a database that is heard; the end of a certificate's life does not. */
  #closesBy(row: Row): number {
    const isLost = row.isRevoked || !this.#enabled.has(row.backendId)
    const lostAt = Math.min(isLost ? row.lostAt : Infinity, row.retiresAt ?? Infinity)
    const byNews = this.#isAway ? Infinity : Math.max(lostAt, this.#hearsSince) + graceMs
    return Math.min(row.notAfter + graceMs, byNews)
  }

  #lose(row: Row): void {
    if (!row.isRevoked && this.#enabled.has(row.backendId)) row.lostAt = this.clock.now()
  }

  #isLive(row: Row): boolean {
    const now = this.clock.now()
    const isInTime = now < row.notAfter && now < (row.retiresAt ?? Infinity)
    return isInTime && !row.isRevoked && this.#enabled.has(row.backendId)
  }

  #rowOf(serial: string): Row {
    const row = this.#rows.find((one) => one.serial === serial)
    if (row === undefined) throw new Error(`nobody issued ${serial}`)
    return row
  }

  /** Sent now, read from the database a little later, heard a little later still; lost when the database goes away. */
  #query<T>(read: () => T, heard: (answer: T) => void): void {
    this.#later(() => {
      if (this.#isAway) return
      const answer = read()
      this.#answer(() => heard(answer))
    })
  }

  #answer(heard: () => void): void {
    this.#later(() => {
      if (!this.#isAway) heard()
    })
  }

  /** Of this life of the daemon only. */
  #later(callback: () => void): void {
    const life = this.#life
    this.clock.after(Math.floor(this.#random() * mostDelayMs), () => {
      if (life === this.#life) callback()
    })
  }
}

function allowed({ serial, backendId, notAfter, retiresAt }: Row): AllowedCertificate {
  return { serial, backendId, notAfter, retiresAt }
}

function serialOf({ serial }: Row): string {
  return serial
}

/** mulberry32: 0 to 1, the same for the same seed. */
function chance(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
