/** The numbers of the command line. */
import { InvalidArgumentError } from 'commander'

function parseInteger(text: string, what: string, most: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw new InvalidArgumentError(`${what} must be a whole number from 0 to ${most}.`)
  }
  return value
}

export const parsePort = (text: string): number => parseInteger(text, 'A port', 65_535)
export const parseMs = (text: string): number => parseInteger(text, 'The wait', 25_000)
export const parseSeconds = (text: string): number => parseInteger(text, 'The time', 31_536_000)
export const parseCount = (text: string): number => parseInteger(text, 'The limit', 1000)
export const parseOffset = (text: string): number => parseInteger(text, 'The offset', 1_000_000)

export function parseShare(text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && value >= 0 && value <= 1) return value
  throw new InvalidArgumentError('A share must be a number from 0 to 1.')
}

/** One more `key=value`: true, false, null and numbers are what they look like, anything else is text. */
export function parseOption(
  text: string,
  before: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const [, key, value] = /^([^=]+)=(.+)$/s.exec(text) ?? []
  if (key === undefined || value === undefined) throw new InvalidArgumentError('An option must be key=value.')
  const isPlain = /^(true|false|null|-?\d+(\.\d+)?)$/.test(value)
  return { ...before, [key]: isPlain ? (JSON.parse(value) as unknown) : value }
}
