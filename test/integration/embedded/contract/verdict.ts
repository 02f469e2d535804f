import { inspect, isDeepStrictEqual } from 'node:util'

import type { ContractCase } from './case.ts'
import type { Reply } from './transports.ts'

/**
 * What is wrong with an answer, in words; undefined when nothing is.
 *
 * @param isExact whether all counts that versions of the real engine do not agree on: texts of errors, what else is told
 * beside their code, the order in which introspection lists things
 */
export function faultOf(
  expected: ContractCase,
  { answer: got, text }: Reply,
  isExact = true,
): string | undefined {
  const answer = isExact ? got : loose(got)
  const wanted = isExact ? wantedAnswer(expected, answer) : loose(wantedAnswer(expected, answer))
  if (!isDeepStrictEqual(answer, wanted)) return `expected ${show(wanted)}\n     got ${show(answer)}`
  const lost = (expected.holds ?? []).find((part) => !text.includes(part))
  if (lost !== undefined) return `the answer does not hold ${lost}: ${text.slice(0, 2_000)}`
  const message = expected.refusal?.message
  const words = wordsOf(answer)
  if (!isExact || message === undefined) return undefined
  const isSaid = typeof message === 'string' ? words.includes(message) : message.test(words)
  return isSaid ? undefined : `expected to be told ${String(message)}\n     got ${words}`
}

/** Whether an answer is what is expected but for numbers that are written as text, or the other way about. */
export function differsInNumbersOnly(expected: ContractCase, { answer }: Reply): boolean {
  return isDeepStrictEqual(asTexts(answer), asTexts(wantedAnswer(expected, answer)))
}

interface Introspection {
  readonly data?: { readonly __type?: Readonly<Record<string, unknown>> | null }
}

function loose(answer: unknown): unknown {
  const { errors } = answer as { errors?: readonly { extensions?: { code?: string; path?: string } }[] }
  if (errors !== undefined) {
    return { errors: errors.map(({ extensions: { code, path } = {} }) => ({ code, path })) }
  }
  const { data } = answer as Introspection
  if (data?.__type === undefined || data.__type === null) return answer
  const sorted = Object.entries(data.__type).map(([key, value]) => {
    return [key, Array.isArray(value) ? value.map((each) => JSON.stringify(each)).sort() : value] as const
  })
  return { data: { ...data, __type: Object.fromEntries(sorted) } }
}

function wantedAnswer({ data, refusal }: ContractCase, answer: unknown): unknown {
  if (refusal === undefined) return { data }
  const { code, path } = refusal
  return { errors: [{ message: wordsOf(answer), extensions: { code, path } }] }
}

function wordsOf(answer: unknown): string {
  const message = (answer as { errors?: readonly { message?: unknown }[] }).errors?.[0]?.message
  return typeof message === 'string' ? message : ''
}

function asTexts(value: unknown): unknown {
  if (
    typeof value === 'number' ||
    (typeof value === 'string' && value !== '' && !Number.isNaN(Number(value)))
  )
    return `number ${Number(value)}`
  if (Array.isArray(value)) return value.map(asTexts)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, asTexts(each)]))
}

const show = (value: unknown): string =>
  inspect(value, { depth: 20, breakLength: 110, maxStringLength: 1_000 })
