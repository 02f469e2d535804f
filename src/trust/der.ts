/** Just as much DER (X.690) as a CRL and an encrypted key need, written at the speed of copying. */

const encode = (tag: number, content: Buffer): Buffer => Buffer.concat([header(tag, content.length), content])

export const sequence = (...parts: readonly Buffer[]): Buffer => encode(0x30, Buffer.concat(parts))
export const octetString = (content: Buffer): Buffer => encode(0x04, content)
export const bitString = (content: Buffer): Buffer => encode(0x03, Buffer.concat([Buffer.of(0), content]))
export const enumerated = (value: number): Buffer => encode(0x0a, Buffer.of(value))
/** Context-specific, constructed. */
export const tagged = (tag: number, content: Buffer): Buffer => encode(0xa0 | tag, content)

/** A positive integer, from its bytes, highest first. */
export function integer(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0)
  const shortest = start === -1 ? Buffer.of(0) : bytes.subarray(start)
  const isNegative = ((shortest[0] ?? 0) & 0x80) !== 0
  return encode(0x02, isNegative ? Buffer.concat([Buffer.of(0), shortest]) : shortest)
}

export function wholeNumber(value: number): Buffer {
  const hex = value.toString(16)
  return integer(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'))
}

export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return encode(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280, 4.1.2.5); milliseconds since the epoch, cut to seconds. */
export function time(ms: number): Buffer {
  const at = new Date(ms)
  const year = at.getUTCFullYear()
  const day = two(at.getUTCMonth() + 1) + two(at.getUTCDate())
  const clock = two(at.getUTCHours()) + two(at.getUTCMinutes()) + two(at.getUTCSeconds())
  return year < 2050
    ? encode(0x17, Buffer.from(`${two(year % 100)}${day}${clock}Z`, 'latin1'))
    : encode(0x18, Buffer.from(`${year}${day}${clock}Z`, 'latin1'))
}

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`
}

function header(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.of(tag, length)
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return Buffer.of(tag, 0x80 | bytes.length, ...bytes)
}

function base128(value: number): number[] {
  const bytes = [value % 128]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.unshift(0x80 | (rest % 128))
  }
  return bytes
}
