import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { advance, newAgentLife, servesUser } from '../../../src/manager/agent-life.ts'
import type {
  AgentEffect,
  AgentExit,
  AgentInput,
  AgentLife,
  AgentPhase,
} from '../../../src/manager/agent-life.ts'

const order: readonly AgentPhase[] = [
  'STARTING',
  'WAITING',
  'ALLOCATED',
  'CONNECTING',
  'RUNNING',
  'DYING',
  'GONE',
]
const session = (sessionId: string) => ({ sessionId, userId: 'ada' })
const start = (sessionId: string): AgentInput => ({ kind: 'start-session', session: session(sessionId) })
const taken = (sessionId: string): AgentInput => ({ kind: 'session-taken', sessionId })
const exited = (how: Partial<AgentExit> = {}): AgentInput => ({
  ...{ kind: 'exited', clean: false, wasAsked: false, reason: 'killed by SIGKILL' },
  ...how,
})
const cleanly = exited({ clean: true, reason: 'exited with code 0' })
const listening: AgentInput = { kind: 'listening', port: 4000 }

function live(...inputs: readonly AgentInput[]): { life: AgentLife; effects: readonly AgentEffect[] } {
  let life = newAgentLife
  let effects: readonly AgentEffect[] = []
  for (const input of inputs) ({ life, effects } = advance(life, input))
  return { life, effects }
}

const anyInput: fc.Arbitrary<AgentInput> = fc.oneof(
  fc.constantFrom<AgentInput>(
    listening,
    start('s1'),
    start('s2'),
    taken('s1'),
    taken('s2'),
    { kind: 'session-refused', sessionId: 's1', error: 'no' },
    { kind: 'connected' },
    { kind: 'ended' },
    { kind: 'stop' },
    { kind: 'overdue' },
  ),
  fc.tuple(fc.boolean(), fc.boolean()).map(([clean, wasAsked]) => exited({ clean, wasAsked })),
)

describe('the life of an agent', () => {
  it('goes from its start through a session to its end', () => {
    expect(live(listening).life.phase).toBe('WAITING')
    expect(live(listening, start('s1'))).toMatchObject({
      life: { phase: 'ALLOCATED' },
      effects: [{ kind: 'begin-session' }],
    })
    expect(live(listening, start('s1'), taken('s1')).effects).toEqual([
      { kind: 'answer', sessionId: 's1' },
      { kind: 'report' },
    ])
    const running = [listening, start('s1'), taken('s1'), { kind: 'connected' }] as const
    expect(live(...running).life.phase).toBe('RUNNING')
    const over = live(...running, { kind: 'ended' }, cleanly)
    expect(over.life).toMatchObject({ phase: 'GONE', failed: false })
  })

  it('answers a repeated StartSession again, and refuses another session', () => {
    const connecting = [listening, start('s1'), taken('s1')] as const
    expect(live(...connecting, start('s1')).effects).toEqual([{ kind: 'answer', sessionId: 's1' }])
    expect(live(...connecting, start('s2')).effects).toMatchObject([{ sessionId: 's2', error: /another/ }])
    expect(live(listening, start('s1'), start('s1')).effects).toEqual([])
  })

  it('counts as failed when it ends by itself, when it is late and when it refuses a session', () => {
    expect(live(cleanly).life.failed).toBe(true)
    expect(live(listening, cleanly).life.failed).toBe(true)
    expect(live({ kind: 'overdue' }, cleanly).life.failed).toBe(true)
    const refused: AgentInput = { kind: 'session-refused', sessionId: 's1', error: 'no' }
    expect(live(listening, start('s1'), refused, cleanly).life.failed).toBe(true)
    expect(live(listening, start('s1'), taken('s1'), exited()).life.failed).toBe(true)
    expect(live(listening, { kind: 'stop' }, exited()).life.failed).toBe(false)
  })

  it('says why a session failed, and only of one that did', () => {
    const taking = [listening, start('s1')] as const
    const connecting = [...taking, taken('s1')] as const
    const running = [...connecting, { kind: 'connected' }] as const
    const failureOf = (...inputs: readonly AgentInput[]) => live(...inputs).life.failure

    expect(failureOf(...running, exited())).toBe('killed by SIGKILL')
    expect(failureOf(...taking, exited({ reason: 'exited with code 3' }))).toBe('exited with code 3')
    expect(failureOf(...connecting, cleanly)).toBe('exited with code 0 before its user came')
    expect(
      failureOf(...taking, { kind: 'session-refused', sessionId: 's1', error: 'no room' }, exited()),
    ).toBe('no room')

    expect(failureOf(...running, cleanly)).toBe('')
    expect(failureOf(...running, { kind: 'ended' }, exited())).toBe('')
    expect(failureOf(...running, { kind: 'stop' }, exited())).toBe('')
    expect(failureOf(...running, exited({ wasAsked: true, reason: 'killed by SIGTERM' }))).toBe('')
    expect(failureOf(listening, exited())).toBe('')
    expect(failureOf(exited())).toBe('')
  })

  it('never goes back, reports nothing without a port, and answers each StartSession it took up', () => {
    fc.assert(
      fc.property(fc.array(anyInput, { maxLength: 20 }), (inputs) => {
        let life = newAgentLife
        let asked = 0
        let answered = 0
        for (const input of [...inputs, exited()]) {
          const step = advance(life, input)
          expect(order.indexOf(step.life.phase)).toBeGreaterThanOrEqual(order.indexOf(life.phase))
          for (const effect of step.effects) {
            if (effect.kind === 'report') expect(step.life.port).toBeGreaterThan(0)
            if (effect.kind === 'begin-session') asked += 1
            if (effect.kind === 'answer' && effect.sessionId === step.life.session?.sessionId) answered += 1
          }
          if (servesUser(step.life)) expect(step.life.session).not.toBeNull()
          // Every change that the daemon can see is told to it.
          if (step.life.phase !== life.phase && step.life.port > 0 && step.life.phase !== 'ALLOCATED') {
            expect(step.effects).toContainEqual({ kind: 'report' })
          }
          life = step.life
        }
        expect(life.phase).toBe('GONE')
        expect(answered).toBeGreaterThanOrEqual(asked)
      }),
    )
  })
})
