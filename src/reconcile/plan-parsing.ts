/**
 * What an algorithm gave, as decisions. The plan is reduced to plain JSON first: getters, proxies and cycles end here,
 * and so do NaN and Infinity. Only known fields are taken over; a fault becomes a refusal that says what was wrong.
 */
import type { AlgorithmDecision, RefuseDecision } from '../model/decision.ts'

const longestPlan = 1000
const longestReason = 1000
const longestId = 200

export function parsePlan(plan: unknown): readonly AlgorithmDecision[] {
  let items: unknown
  let isCut: boolean
  try {
    if (!Array.isArray(plan)) return [refusal(`the algorithm gave ${nameOf(plan)}, not a list of decisions`)]
    if (plan.length === 0) return []
    isCut = plan.length > longestPlan
    items = JSON.parse(JSON.stringify(Array.from(plan.slice(0, longestPlan))))
  } catch (error) {
    return [refusal(`the algorithm's plan is no plain JSON: ${inWords(error)}`)]
  }
  if (!Array.isArray(items)) return [refusal("the algorithm's plan is no plain JSON")]
  const decisions = items.map(parseDecision)
  if (isCut) {
    decisions.push(refusal(`the plan has more than ${longestPlan} decisions: the rest is not looked at`))
  }
  return decisions
}

/** A refusal that concerns the region. */
function refusal(reason: string): RefuseDecision {
  return { kind: 'refuse', target: null, reason }
}

function parseDecision(item: unknown): AlgorithmDecision {
  const malformed = (fault: string): RefuseDecision => refusal(`guard: malformed decision: ${fault}`)
  if (typeof item !== 'object' || item === null || Array.isArray(item)) {
    return malformed(`${nameOf(item)} is no object`)
  }
  const { kind, reason, count, imageId, hostId, target } = item as Record<string, unknown>
  if (kind !== 'launch' && kind !== 'drain' && kind !== 'terminate' && kind !== 'refuse') {
    return malformed(typeof kind === 'string' ? `unknown kind ${textOf(kind, 40)}` : 'it has no kind')
  }
  if (typeof reason !== 'string' || reason.trim() === '') return malformed(`a ${kind} without a reason`)
  if (reason.length > longestReason) {
    return malformed(`a ${kind} whose reason is longer than ${longestReason} characters`)
  }
  if (!isStorable(reason)) return malformed(`a ${kind} whose reason cannot be stored as text`)
  if (kind === 'refuse') {
    if (target === null || target === undefined) return { kind, target: null, reason }
    return isId(target) ? { kind, target, reason } : malformed('a refuse whose target is no id')
  }
  if (kind === 'launch') {
    if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 1) {
      return malformed('a launch whose count is no whole number of 1 or more')
    }
    return isId(imageId) ? { kind, count, imageId, reason } : malformed('a launch without an imageId')
  }
  return isId(hostId) ? { kind, hostId, reason } : malformed(`a ${kind} without a hostId`)
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= longestId && isStorable(value)
}

/** PostgreSQL stores neither NUL nor half a surrogate pair; a turn that held one could never be committed. */
function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000')
}

/** Foreign text, cut to `longest` characters and made storable. */
export function textOf(text: string, longest: number): string {
  const cut = text.length > longest ? `${text.slice(0, longest)}…` : text
  return cut.replaceAll('\u0000', '').toWellFormed()
}

/** What was thrown, in words: anything can be thrown, also what throws when it is looked at. */
export function inWords(thrown: unknown): string {
  try {
    return textOf(thrown instanceof Error ? thrown.message : String(thrown), 300)
  } catch {
    return 'something that cannot be shown'
  }
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
