import { isIPv6 } from 'node:net'

import type { Clock } from '../lib/clock.ts'

export interface RateLimiterOptions {
  /** What one key may have in a window. */
  readonly max: number
  /** Milliseconds. */
  readonly windowMs: number
  readonly clock: Clock
  /** Keys that are remembered at once; the oldest windows are forgotten first. 100,000 unless told. */
  readonly mostKeys?: number
}

export interface Use {
  readonly isExceeded: boolean
  readonly remaining: number
  /** Seconds until the window ends. */
  readonly resetS: number
}

/**
 * Counts in windows that begin with a key's first use. At once and in memory: it stands before everything that a request
 * does. Each daemon counts for itself.
 */
export class RateLimiter {
  readonly max: number
  readonly windowMs: number
  readonly #clock: Clock
  readonly #mostKeys: number
  readonly #windows = new Map<string, { count: number; readonly endsAt: number }>()

  constructor({ max, windowMs, clock, mostKeys = 100_000 }: RateLimiterOptions) {
    this.max = max
    this.windowMs = windowMs
    this.#clock = clock
    this.#mostKeys = mostKeys
  }

  /** Counts one. A key that is past its limit stays so until its window ends, whether or not it comes again. */
  take(key: string): Use {
    const now = this.#clock.now()
    let window = this.#windows.get(key)
    if (window === undefined || window.endsAt <= now) {
      window = { count: 0, endsAt: now + this.windowMs }
      this.#windows.delete(key)
      this.#windows.set(key, window)
      const [oldest] = this.#windows.keys()
      if (this.#windows.size > this.#mostKeys && oldest !== undefined) this.#windows.delete(oldest)
    }
    window.count += 1
    return this.#use(window.count, window.endsAt, window.count > this.max)
  }

  /** Whether the next one would be too many; counts nothing. */
  look(key: string): Use {
    const window = this.#windows.get(key)
    if (window === undefined || window.endsAt <= this.#clock.now())
      return this.#use(0, this.#clock.now(), false)
    return this.#use(window.count, window.endsAt, window.count >= this.max)
  }

  #use(count: number, endsAt: number, isExceeded: boolean): Use {
    const resetS = Math.max(1, Math.ceil((endsAt - this.#clock.now()) / 1000))
    return { isExceeded, remaining: Math.max(0, this.max - count), resetS }
  }
}

/** Who an address stands for: an IPv6 network of 64 bits is one subscriber's, an IPv4 address in IPv6 is itself. */
export function addressKey(ip: string): string {
  const inner = /^(?:::ffff:)?(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(ip)?.[1]
  if (inner !== undefined) return inner
  if (!isIPv6(ip)) return ip.slice(0, 64)
  // The URL parser knows every way to write one, and writes the shortest; a zone is no part of it.
  const shortest = new URL(`http://[${ip.split('%', 1)[0] ?? ip}]`).hostname.slice(1, -1)
  const [head = '', tail] = shortest.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right]
  return `${groups.slice(0, 4).join(':')}::/64`
}
