import type { Arm } from '../model/rollout.ts'

/**
 * Between which bounds the difference of two arms' failure shares (one − other, −1 to 1) lies: Newcombe's hybrid score
 * interval (R. G. Newcombe, Statistics in Medicine 17 (1998) 873–890, method 10), which holds for few sessions and for shares near 0,
 * where the textbook's interval does not. `standardErrors`: 1.96 for 95 %, 2.576 for 99 %. Nothing seen gives no bounds:
 * −1 to 1.
 */
export function differenceInterval(
  one: Arm,
  other: Arm,
  standardErrors: number,
): { readonly least: number; readonly most: number } {
  if (one.sessions === 0 || other.sessions === 0) return { least: -1, most: 1 }
  const a = scoreInterval(one, standardErrors)
  const b = scoreInterval(other, standardErrors)
  const difference = a.share - b.share
  return {
    least: difference - Math.hypot(a.share - a.least, b.most - b.share),
    most: difference + Math.hypot(a.most - a.share, b.share - b.least),
  }
}

/** Wilson's score interval of one share (E. B. Wilson, JASA 22 (1927) 209–212). */
function scoreInterval({ sessions, failed }: Arm, standardErrors: number) {
  const share = failed / sessions
  const weight = standardErrors ** 2 / sessions
  const middle = (share + weight / 2) / (1 + weight)
  const half = (standardErrors * Math.sqrt((share * (1 - share) + weight / 4) / sessions)) / (1 + weight)
  return { share, least: Math.max(0, middle - half), most: Math.min(1, middle + half) }
}
