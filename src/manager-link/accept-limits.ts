/**
 * Who may begin a handshake. A handshake costs a millisecond of one core, so how many are under way and how fast one
 * address opens them is bounded; who is turned away redials with back-off, as every manager does.
 */
import type { Clock } from '../lib/clock.ts'

export interface AcceptLimitsOptions {
  /** Handshakes at once in all; one address has at most a quarter of them. */
  readonly handshakes: number
  /** Connections that one address may open in a second, and at once after a rest. */
  readonly perSecond: number
  readonly clock: Pick<Clock, 'now'>
}

interface Address {
  underWay: number
  tokens: number
  at: number
}

/** Addresses that are remembered before those that are at rest are forgotten. */
const mostAddresses = 10_000

export class AcceptLimits {
  readonly #options: AcceptLimitsOptions
  readonly #addresses = new Map<string, Address>()
  #underWay = 0

  constructor(options: AcceptLimitsOptions) {
    this.#options = options
  }

  /** Handshakes under way. */
  get underWay(): number {
    return this.#underWay
  }

  /** Gives what ends the handshake's place (again is harmless); undefined: too many. */
  begin(from: string): (() => void) | undefined {
    const { handshakes, perSecond } = this.#options
    const address = this.#addressOf(networkOf(from))
    if (this.#underWay >= handshakes || address.underWay >= Math.ceil(handshakes / 4)) return undefined
    if (address.tokens < 1) return undefined
    address.tokens = Math.min(address.tokens, perSecond) - 1
    address.underWay += 1
    this.#underWay += 1
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      address.underWay -= 1
      this.#underWay -= 1
    }
  }

  #addressOf(name: string): Address {
    const { perSecond, clock } = this.#options
    const now = clock.now()
    const known = this.#addresses.get(name)
    if (known !== undefined) {
      known.tokens = Math.min(perSecond, known.tokens + (Math.max(0, now - known.at) / 1000) * perSecond)
      known.at = now
      return known
    }
    if (this.#addresses.size >= mostAddresses) this.#forgetRested(now)
    const fresh = { underWay: 0, tokens: perSecond, at: now }
    this.#addresses.set(name, fresh)
    return fresh
  }

  #forgetRested(now: number): void {
    for (const [name, { underWay, at }] of this.#addresses) {
      if (underWay === 0 && now - at > 1000) this.#addresses.delete(name)
    }
  }
}

/** Whoever has one address of IPv6 has 2^64 of them: their network counts as one. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice('::ffff:'.length)
  const [head = '', tail = ''] = address.split('%', 1)[0]?.split('::') ?? []
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const zeros = Math.max(0, 8 - groups(head).length - groups(tail).length)
  const all = [...groups(head), ...Array.from({ length: zeros }, () => '0'), ...groups(tail)]
  return all.slice(0, 4).join(':')
}
