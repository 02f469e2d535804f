/**
 * A fleet's certificates in simulated time: a database that people change, a daemon that hears of it late and out of
 * order, managers that connect with whatever they have. What it drives is what the daemon runs: `Rights`, `certify`, and
 * `Backends`; of the database, the stream and the sockets there are stand-ins. It watches every connection, and throws when
 * one outlives its right by more than `graceMs`, outlives the answer to whoever took it, or is closed while it has it.
 */
import { Backends } from '../../src/backends/backends.ts'
import { certify } from '../../src/manager-link/enrolment.ts'
import { Rights } from '../../src/manager-link/rights.ts'
import type { Backend, Certificate } from '../../src/model/backend.ts'
import { MusterError } from '../../src/model/errors.ts'
import { Chance } from '../../src/simulation/chance.ts'
import { settled, SimulatedClock } from '../../src/simulation/clock.ts'
import { Life } from '../../src/simulation/life.ts'
import type { TrustStore } from '../../src/store/trust-store.ts'
import { AllowList } from '../../src/trust/allow-list.ts'
import type { CloseReason } from '../../src/trust/connections.ts'
import { Connections } from '../../src/trust/connections.ts'
import type { Hint, Row } from './trust-rows.ts'
import { allowed, TrustRows } from './trust-rows.ts'

export const graceMs = 100
/** Of each step of an answer's way; three of them are within the grace. */
const mostDelayMs = 30

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

interface Socket {
  readonly serial: string
  readonly openedAt: number
  isOpen: boolean
  destroy(reason: CloseReason): void
}

export class TrustWorld {
  readonly clock = new SimulatedClock()
  readonly #random: () => number
  readonly #rows = new TrustRows(this.clock, (of) => this.#hint(of))
  #sockets: Socket[] = []
  #isAway = false
  #isReadingAll = false
  #isReadAllWanted = false
  #hearsSince = 0
  #list!: AllowList
  #rights!: Rights
  #backends!: Backends
  #failure: Error | undefined
  #connections!: Connections<Socket>
  #life: Life | undefined
  #issued = 0
  /** How often something happened that a run is about. */
  readonly counts = { admitted: 0, refused: 0, closed: 0, shared: 0, answered: 0 }

  /** As far as rights go, a certificate is its serial. */
  readonly #authority = {
    ...{ trusted: [], pins: [] },
    crl: () => Promise.reject(new Error('nobody asks')),
    issueForHost: () => {
      const serial = `s${(this.#issued += 1)}`
      return Promise.resolve({
        ...{ serial, spkiHash: '', issuer: '', pem: '', chainPem: '' },
        notBefore: 0,
        notAfter: 0,
      })
    },
  }

  constructor(seed: number) {
    this.#random = new Chance(seed).draw
    this.#start()
  }

  async do({ kind, which, isForeign, ms }: Act): Promise<void> {
    const row = this.#rows.all[which % Math.max(1, this.#rows.all.length)]
    const backendId = `b${which % 4}`
    const isReachable = isForeign || !this.#isAway
    if (kind === 'restart') this.#restart()
    else if (kind === 'away') this.#goAway()
    else if (kind === 'back') this.#comeBack()
    else if (kind === 'resync') this.#readAll()
    else if (kind === 'connect' && row !== undefined) this.#connect(row)
    else if (kind === 'disconnect') this.#disconnect(which)
    else if (kind === 'enrol' && isReachable) this.#issue(backendId, which, isForeign)
    else if (kind === 'renew' && isReachable && row !== undefined && this.#rows.isLive(row)) {
      this.#issue(row.backendId, which, isForeign)
    } else if (kind === 'revoke' && isReachable && row !== undefined) {
      this.#act('revoke', row.backendId, row.serial, isForeign)
    } else if ((kind === 'terminate' || kind === 'delete' || kind === 'enable') && isReachable) {
      this.#act(kind, backendId, '', isForeign)
    }
    await settled()
    this.check()
    await this.clock.advance(ms, () => this.check())
  }

  /** Every connection that is open may be; throws else. */
  check(): void {
    for (const socket of this.#sockets) {
      if (socket.isOpen) this.#expectInTime(socket, 'is open')
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  #start(): void {
    // The timers of a process die with it.
    const isRestart = this.#life !== undefined
    this.#life?.end()
    this.#life = new Life(this.clock)
    const { clock } = this.#life
    this.#list = new AllowList(clock)
    this.#connections = new Connections<Socket>({
      allowList: this.#list,
      clock,
      yieldTurn: (resume) => clock.after(1, resume),
      onShared: () => (this.counts.shared += 1),
    })
    const trust = this.#store()
    this.#rights = new Rights({ trust, allowList: this.#list })
    this.#backends = new Backends({
      store: trust as unknown as TrustStore,
      authority: this.#authority,
      ...{ clock, fleetId: () => 'fleet', daemons: () => [] },
      connections: {
        rightsChanged: (of) => this.#rights.changed(of),
        rightsTaken: (of) => this.#rights.taken(of),
        terminating: () => undefined,
        lastHeard: () => undefined,
        askInfo: () => Promise.resolve(),
      },
    })
    if (isRestart) this.#hearsSince = this.clock.now()
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
    const done = (): void => {
      if (hearsSince !== this.#hearsSince) return
      this.#isReadingAll = false
      if (this.#isReadAllWanted) this.#readAll()
      this.#isReadAllWanted = false
    }
    void this.#rights.rebuild().then(done, done)
  }

  /** A hint arrives, and the rows that it names are read. What fails here is read with all else at the return. */
  #hint({ serials = [], backendIds = [] }: Hint): void {
    this.#later(() => {
      if (this.#isAway) return
      this.#rights.changed({ serials, backendIds }).catch(ignore)
    })
  }

  /** The database, as far as this daemon asks it: each answer takes its time, and fails while it is away. */
  #store() {
    const ofBackend = (id: string) => this.#rows.all.filter((row) => row.backendId === id)
    const backend = (id: string) =>
      ({ id, status: this.#rows.isEnabled(id) ? 'ENABLED' : 'TERMINATED' }) as Backend
    return {
      readAllowed: () => this.#query(() => this.#rows.live(() => true)),
      readAllowedOf: ({ serials, backendIds }) =>
        this.#query(() =>
          this.#rows.live((row) => serials.includes(row.serial) || backendIds.includes(row.backendId)),
        ),
      readBackend: (id) =>
        this.#query(() => ({ ...backend(id), certificates: ofBackend(id) as unknown as Certificate[] })),
      storeCertificate: (backendId, certificate, { actor }) =>
        this.#query(() => {
          const row = this.#rows.issue(backendId, Number(actor), certificate.serial)
          return this.#rows.isLive(row) ? ({ ...allowed(row), pem: '' } as unknown as Certificate) : undefined
        }),
      revokeCertificate: (serial) =>
        this.#query(() => {
          const row = this.#rows.of(serial)
          this.#rows.revoke(row)
          return row as unknown as Certificate
        }),
      terminateBackend: (id) =>
        this.#query(() => {
          this.#rows.terminate(id, false)
          return backend(id)
        }),
      deleteBackend: (id) =>
        this.#query(() => {
          this.#rows.terminate(id, true)
          return { id }
        }),
      enableBackend: (id) =>
        this.#query(() => {
          this.#rows.enable(id)
          return backend(id)
        }),
    } satisfies Partial<TrustStore>
  }

  /** By this daemon: whoever is answered that a right is taken finds nothing of it open, whatever fails afterwards. */
  #ask(work: Promise<unknown>, isIts: (row: Row) => boolean): void {
    work.then(() => {
      this.counts.answered += 1
      const left = this.#sockets.find((socket) => {
        const row = this.#rows.of(socket.serial)
        return (
          isIts(row) &&
          !this.#rows.isLive(row) &&
          socket.openedAt < row.lostAt &&
          this.#connections.has(socket)
        )
      })
      if (left !== undefined) this.#fail(`${left.serial} is open, and whoever took its right was answered`)
    }, ignore)
  }

  #act(
    kind: 'revoke' | 'terminate' | 'delete' | 'enable',
    id: string,
    serial: string,
    isForeign: boolean,
  ): void {
    const isIts = (row: Row): boolean => row.backendId === id
    const backends = this.#backends
    if (kind === 'revoke') {
      if (isForeign) this.#rows.revoke(this.#rows.of(serial))
      else {
        const work = backends.revoke(id, serial, 'user', '')
        this.#ask(work, (row) => row.serial === serial)
      }
    } else if (kind === 'enable') {
      if (isForeign) this.#rows.enable(id)
      else backends.enable(id, '').catch(ignore)
    } else if (isForeign) this.#rows.terminate(id, kind === 'delete')
    else if (kind === 'delete') this.#ask(backends.remove(id, true, ''), isIts)
    else this.#ask(backends.terminate(id, { reason: 'user', agents: 'kill', actor: '' }), isIts)
  }

  #issue(backendId: string, which: number, isForeign: boolean): void {
    if (!isForeign) {
      const { clock } = this
      const store = { ...this.#store(), redeemToken: () => Promise.resolve(undefined) }
      certify(
        {
          ...{ store, allowList: this.#list, clock, fleetId: () => 'fleet' },
          authority: () => this.#authority,
          rightsChanged: (of) => this.#rights.changed(of),
        },
        { csr: '', backendId, renews: null, actor: `${which}` },
      ).catch(ignore)
      return
    }
    this.#rows.issue(backendId, which, `f${this.#rows.all.length}`)
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
    const isEntitled = this.#rows.isLive(row) && !this.#isAway && now - since >= 2 * graceMs
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
    this.#rows.use(row)
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
    if (!socket.isOpen) this.#fail(`${socket.serial} was closed twice (${reason})`)
    this.#expectInTime(socket, 'was closed')
    socket.isOpen = false
    if (!isAdmitted) return
    this.counts.closed += 1
    const row = this.#rows.of(socket.serial)
    // It may have its right again by now: news of the loss that was under way then still cuts, and the manager dials anew.
    const hasLost = !this.#rows.isLive(row) || row.lostAt >= socket.openedAt - graceMs
    if (!hasLost) this.#fail(`${socket.serial} was closed with its right: ${reason}`)
  }

  /** Told by `check`: who called the daemon back may catch what is thrown here. */
  #fail(what: string): void {
    this.#failure ??= new Error(what)
  }

  #expectInTime(socket: Socket, what: string): void {
    const lateMs = this.clock.now() - this.#closesBy(this.#rows.of(socket.serial))
    if (lateMs > 0 && this.#sockets.includes(socket)) {
      this.#fail(`${socket.serial} ${what} ${lateMs} ms past the grace`)
    }
  }

  /** News needs a database that is heard; the end of a certificate's life does not. */
  #closesBy(row: Row): number {
    const byNews = this.#isAway ? Infinity : Math.max(this.#rows.takenAt(row), this.#hearsSince) + graceMs
    return Math.min(row.notAfter + graceMs, byNews)
  }

  /** Sent now, read from the database a little later, heard a little later still; fails when the database goes away. */
  #query<T>(run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const away = () => reject(new MusterError('database-unavailable', 'away'))
      this.#later(() => {
        if (this.#isAway) {
          away()
          return
        }
        const answer = run()
        this.#later(() => (this.#isAway ? away() : resolve(answer)))
      })
    })
  }

  /** Of this life of the daemon only. */
  #later(callback: () => void): void {
    this.#life?.clock.after(Math.floor(this.#random() * mostDelayMs), callback)
  }
}

function ignore(): void {
  // The world looks at what follows from it.
}
