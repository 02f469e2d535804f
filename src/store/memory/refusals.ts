import { launchOf } from '../../model/action.ts'
import type { Offering } from '../../model/offering.ts'
import { offeringText } from '../../model/offering.ts'
import type { MemoryDatabase } from './memory-database.ts'
import type { ActionRow } from './rows.ts'

interface Refused {
  readonly code: string
  readonly message: string | undefined
  /** The offering that comes next. */
  readonly next?: Offering | undefined
}

/** As `fleet.log_refusal`: what a provider said no to, of all of a call or of part of it, is in the decision log. */
export function logRefusal(db: MemoryDatabase, action: ActionRow, { code, message, next }: Refused): void {
  const id = `${action.id}:refused`
  const decision = db.decisions.get(action.decisionId)
  if (decision === undefined || db.decisions.get(id) !== undefined) return
  const { launchId, attempt } = launchOf(action.id)
  const { offering } = action
  const about = offering === null ? [] : [offeringText(offering)]
  const said = [...about, code, ...(message === undefined ? [] : [message])].join(': ')
  const left = next === undefined ? '' : `; next: ${offeringText(next)}`
  db.decisions.put({
    id,
    regionId: action.regionId,
    turn: decision.turn,
    place: decision.place,
    causes: [],
    kind: 'refuse',
    target: launchId,
    reason: `${said}${left}`.slice(0, 2000),
    inputs: { offering, code, attempt },
    repeats: 1,
    createdAt: db.now(),
    updatedAt: db.now(),
  })
}
