import { callApi } from './api-client.ts'

interface DecisionLine {
  readonly id: string
  readonly kind: string
  readonly target: string | null
  readonly reason: string
  readonly causes: readonly { readonly kind: string }[]
  readonly turn: number
  readonly repeats: number
  readonly created_at: string
  readonly updated_at: string
}

/** Tell what was decided about a host, a launch or a region, oldest first. */
export async function explain(target: string, limit: number): Promise<void> {
  // A launch is called after its region and turn: aws/us-east-1:7.0.
  const filter = target.includes('/') && !target.includes(':') ? 'region' : 'target'
  const path = `/v1/decisions?${filter}=${encodeURIComponent(target)}&limit=${limit}`
  const { decisions } = await callApi<{ decisions: readonly DecisionLine[] }>(path)
  if (decisions.length === 0) {
    process.stdout.write(`nothing has been decided about ${target}\n`)
    return
  }
  for (const decision of [...decisions].reverse()) process.stdout.write(`${sentence(decision)}\n`)
}

export function sentence(decision: DecisionLine): string {
  // What a provider said to a call of a launch; nobody was woken for it.
  if (decision.id.endsWith(':refused')) {
    return `${decision.created_at}  turn ${decision.turn}, launch ${decision.target ?? ''}: the provider refused ${decision.reason}`
  }
  const about = decision.target === null ? '' : ` ${decision.target}`
  const causes = [...new Set(decision.causes.map((cause) => cause.kind))].join(', ')
  const repeats = decision.repeats > 1 ? ` (${decision.repeats} times, last at ${decision.updated_at})` : ''
  const woken = causes === '' ? '' : `, woken by ${causes}`
  return `${decision.created_at}  turn ${decision.turn}${woken}: ${decision.kind}${about}: ${decision.reason}${repeats}`
}
