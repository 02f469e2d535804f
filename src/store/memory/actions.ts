/** Open actions, as the daemon's plain updates of `fleet.actions` leave them. */
import type { Action } from '../../model/action.ts'
import type { FleetStore } from '../fleet-store.ts'
import { existing } from './memory-database.ts'
import type { MemoryDatabase } from './memory-database.ts'
import type { ActionRow } from './rows.ts'

type ActionWrites = Pick<
  FleetStore,
  'readOpenActions' | 'beginAttempt' | 'postponeAction' | 'endAction' | 'logAction'
>

/** Of an action that is no launch, or whose call is not stored yet. */
export const notCalled = { offering: null, request: null, isCalling: false, isRepeat: false }

export function isOpen(action: Pick<ActionRow, 'status'>): boolean {
  return action.status === 'QUEUED' || action.status === 'RUNNING'
}

export function createActionWrites(db: MemoryDatabase): ActionWrites {
  const openAction = (id: string): ActionRow | undefined => {
    const action = db.actions.get(id)
    return action !== undefined && isOpen(action) ? action : undefined
  }
  return {
    readOpenActions: () => db.transact(() => db.actions.where(isOpen).map(toAction)),
    beginAttempt: (id) =>
      db.transact(() => {
        const action = openAction(id)
        if (action === undefined) return undefined
        const attempts = action.attempts + 1
        db.actions.put({ ...action, status: 'RUNNING', nextAttemptAt: null, attempts })
        return { attempts }
      }),
    postponeAction: (id, at, errorCode, error) =>
      db.transact(() => {
        const action = openAction(id)
        if (action !== undefined)
          db.actions.put({ ...action, status: 'QUEUED', nextAttemptAt: at, errorCode, error })
      }),
    endAction: (id, status, errorCode, error) =>
      db.transact(() => {
        const action = openAction(id)
        if (action === undefined) return
        const fault = { errorCode: errorCode ?? null, error: error ?? null }
        db.actions.put({ ...action, status, nextAttemptAt: null, ...fault })
      }),
    logAction: (actionId, level, message) =>
      db.transact(() => {
        existing(db.actions, actionId)
        const sequence = db.now() % 2 ** 31
        const id = `${actionId}#${sequence}`
        if (db.actionLogs.get(id) === undefined) db.actionLogs.put({ id, actionId, sequence, level, message })
      }),
  }
}

export function toAction(row: ActionRow): Action {
  const { id, regionId, kind, target, params, status, attempts, nextAttemptAt, offering, request } = row
  const common = { id, regionId, kind, target, params, status, attempts, nextAttemptAt }
  return (kind === 'launch' ? { ...common, offering, request } : common) as Action
}
