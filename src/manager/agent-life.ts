import type { AgentStatusOnWire } from '../muster-v1/messages.ts'

/**
 * The life of one agent as its manager sees it: a pure state machine, so that every order of what the daemon says and
 * what the process does can be tried.
 *
 *   STARTING → WAITING → ALLOCATED → CONNECTING → RUNNING → DYING → GONE
 *
 * STARTING has no port yet and is nobody's business but the manager's: it is never reported. ALLOCATED waits for the
 * process to take the session, CONNECTING for the user's first request. Nothing ever goes back; a crash goes straight
 * to GONE.
 */
export type AgentPhase = 'STARTING' | Exclude<AgentStatusOnWire, 'AGENT_STATUS_UNSPECIFIED'>

export interface Session {
  readonly sessionId: string
  readonly userId: string
}

/** How a process has ended. */
export interface AgentExit {
  /** By its own will and without an error. */
  readonly clean: boolean
  /** By a signal that asks a process to end, whoever sent it. */
  readonly wasAsked: boolean
  /** In words, for people. */
  readonly reason: string
}

export interface AgentLife {
  readonly phase: AgentPhase
  /** 0 until it listens. */
  readonly port: number
  readonly session: Session | null
  /** It did not do what was asked of it, or ended by itself: the seat counts these. */
  readonly failed: boolean
  /** Why its session did not end well; empty: it did, has not ended, or there was none. */
  readonly failure: string
}

export type AgentInput =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'start-session'; readonly session: Session }
  | { readonly kind: 'session-taken'; readonly sessionId: string }
  | { readonly kind: 'session-refused'; readonly sessionId: string; readonly error: string }
  | { readonly kind: 'connected' }
  | { readonly kind: 'ended' }
  | { readonly kind: 'stop' }
  /** It should be listening by now. */
  | { readonly kind: 'overdue' }
  | ({ readonly kind: 'exited' } & AgentExit)

export type AgentEffect =
  | { readonly kind: 'report' }
  | { readonly kind: 'begin-session'; readonly session: Session }
  /** The answer to the daemon's StartSession; no error means taken. */
  | { readonly kind: 'answer'; readonly sessionId: string; readonly error?: string }
  /** The process is to end by itself soon, or is ended. */
  | { readonly kind: 'await-exit' }
  | { readonly kind: 'end-process' }

export interface AgentStep {
  readonly life: AgentLife
  readonly effects: readonly AgentEffect[]
}

export const newAgentLife: AgentLife = {
  phase: 'STARTING',
  port: 0,
  session: null,
  failed: false,
  failure: '',
}

/** A live agent serves a user. */
export function servesUser(life: AgentLife): boolean {
  return life.phase === 'ALLOCATED' || life.phase === 'CONNECTING' || life.phase === 'RUNNING'
}

/** What does not fit the phase changes nothing: both the daemon and the process may repeat themselves. */
export function advance(life: AgentLife, input: AgentInput): AgentStep {
  switch (input.kind) {
    case 'listening':
      if (life.phase !== 'STARTING') return unchanged(life)
      return reported({ ...life, phase: 'WAITING', port: input.port })
    case 'start-session':
      return startSession(life, input.session)
    case 'session-taken':
      if (life.phase !== 'ALLOCATED' || life.session?.sessionId !== input.sessionId) return unchanged(life)
      return reported({ ...life, phase: 'CONNECTING' }, [{ kind: 'answer', sessionId: input.sessionId }])
    case 'session-refused':
      if (life.phase !== 'ALLOCATED' || life.session?.sessionId !== input.sessionId) return unchanged(life)
      return reported({ ...life, phase: 'DYING', failed: true, failure: input.error }, [
        { kind: 'answer', sessionId: input.sessionId, error: input.error },
        { kind: 'end-process' },
      ])
    case 'connected':
      if (life.phase !== 'CONNECTING') return unchanged(life)
      return reported({ ...life, phase: 'RUNNING' })
    case 'ended':
      if (!servesUser(life)) return unchanged(life)
      return reported({ ...life, phase: 'DYING' }, [...broken(life), { kind: 'await-exit' }])
    case 'stop':
      if (life.phase === 'GONE') return unchanged(life)
      if (life.phase === 'DYING') return { life, effects: [{ kind: 'end-process' }] }
      return reported({ ...life, phase: 'DYING' }, [...broken(life), { kind: 'end-process' }])
    case 'overdue':
      if (life.phase !== 'STARTING') return unchanged(life)
      return reported({ ...life, phase: 'DYING', failed: true }, [{ kind: 'end-process' }])
    case 'exited':
      if (life.phase === 'GONE') return unchanged(life)
      return reported(
        {
          ...{ ...life, phase: 'GONE', failed: life.failed || !endsWell(life, input.clean) },
          failure: servesUser(life) ? failureOf(life, input) : life.failure,
        },
        broken(life),
      )
  }
}

function startSession(life: AgentLife, session: Session): AgentStep {
  const { sessionId } = session
  const refuse = (error: string): AgentStep => ({ life, effects: [{ kind: 'answer', sessionId, error }] })
  if (life.phase === 'WAITING') {
    return { life: { ...life, phase: 'ALLOCATED', session }, effects: [{ kind: 'begin-session', session }] }
  }
  if (!servesUser(life)) return refuse('the agent is not waiting')
  if (life.session?.sessionId !== sessionId) return refuse('the agent serves another session')
  // Said twice: the answer was lost, or is still to come.
  return life.phase === 'ALLOCATED' ? unchanged(life) : { life, effects: [{ kind: 'answer', sessionId }] }
}

/** A daemon that waits for an answer gets one, however the agent ends. */
function broken(life: AgentLife): readonly AgentEffect[] {
  if (life.phase !== 'ALLOCATED' || life.session === null) return []
  return [{ kind: 'answer', sessionId: life.session.sessionId, error: 'the agent ended' }]
}

/** Told to end, or its session came to its end and the process left without complaint. */
function endsWell(life: AgentLife, clean: boolean): boolean {
  return life.phase === 'DYING' || (clean && (life.phase === 'CONNECTING' || life.phase === 'RUNNING'))
}

/** Of a session that nobody ended. Who is asked to end, or leaves when its user has come, has not failed. */
function failureOf({ phase }: AgentLife, { clean, wasAsked, reason }: AgentExit): string {
  if (wasAsked || (clean && phase === 'RUNNING')) return ''
  return clean ? `${reason} before its user came` : reason
}

function reported(life: AgentLife, effects: readonly AgentEffect[] = []): AgentStep {
  // Without a port it never had a row.
  return { life, effects: life.port === 0 ? effects : [...effects, { kind: 'report' }] }
}

function unchanged(life: AgentLife): AgentStep {
  return { life, effects: [] }
}
