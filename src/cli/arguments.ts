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
