import { beforeEach, describe, expect, it } from 'vitest'

import { silentLogger } from '../../../src/lib/logger.ts'
import type { AgentEvents, AgentRuntime } from '../../../src/manager/agent-runtime.ts'
import { Seats } from '../../../src/manager/seats.ts'
import type { AgentState, SessionTaken } from '../../../src/muster-v1/messages.ts'
import { TestClock } from '../../support/test-clock.ts'

interface FakeAgent {
  readonly id: string
  readonly events: AgentEvents
  readonly sessions: string[]
  readonly ends: number[]
  drains: number
  stops: number
}

let clock: TestClock
let agents: FakeAgent[]
let reports: AgentState[]
let answers: SessionTaken[]
let capacities: number[]
let emptied: number
let seats: Seats

const runtime: AgentRuntime = {
  start: (id, events) => {
    const agent: FakeAgent = { id, events, sessions: [], ends: [], drains: 0, stops: 0 }
    agents.push(agent)
    return {
      startSession: ({ sessionId }) => void agent.sessions.push(sessionId),
      interrupted: (at) => void agent.ends.push(at),
      draining: () => void (agent.drains += 1),
      stop: () => void (agent.stops += 1),
    }
  },
}

function startSeats(count: number): void {
  seats = new Seats({
    count,
    runtime,
    clock,
    random: () => 0,
    log: silentLogger,
    app: 'hello',
    timing: {
      startTimeoutMs: 30_000,
      sessionTimeoutMs: 5000,
      endGraceMs: 2000,
      restartFirstMs: 500,
      restartLongestMs: 4000,
      steadyMs: 10_000,
      brokenAfter: 5,
    },
    report: (state) => reports.push(state),
    answer: (answer) => answers.push(answer),
    capacityChanged: (capacity) => capacities.push(capacity),
    emptied: () => (emptied += 1),
  })
  seats.start()
}

const last = (): FakeAgent => agents.at(-1)!
const crash = (agent = last()): void => exit(agent, 'killed by SIGSEGV')
const exit = ({ events }: FakeAgent, reason: string): void =>
  events.exited({ clean: reason === 'exited with code 0', wasAsked: reason === 'killed by SIGTERM', reason })

beforeEach(() => {
  clock = new TestClock()
  agents = []
  reports = []
  answers = []
  capacities = []
  emptied = 0
})

describe('seats', () => {
  it('tell of an agent once it listens, and never before', () => {
    startSeats(2)
    expect(agents).toHaveLength(2)
    expect(seats.states).toEqual([])
    last().events.listening(4001)
    expect(reports).toEqual([
      { agentId: last().id, status: 'WAITING', port: 4001, sessionId: '', app: 'hello', failure: '' },
    ])
    expect(seats.states).toEqual(reports)
  })

  it('follow an agent whose session ended with a new one at once', async () => {
    startSeats(1)
    const first = last()
    first.events.listening(4001)
    seats.startSession({ agentId: first.id, sessionId: 's1', userId: 'ada' })
    expect(first.sessions).toEqual(['s1'])
    first.events.sessionTaken('s1')
    expect(answers).toEqual([{ agentId: first.id, sessionId: 's1', taken: true, error: '' }])
    first.events.connected()
    first.events.ended()
    exit(first, 'exited with code 0')
    await clock.advance(0)
    expect(reports.map((report) => report.status)).toEqual([
      'WAITING',
      'CONNECTING',
      'RUNNING',
      'DYING',
      'GONE',
    ])
    expect(agents).toHaveLength(2)
    expect(last().id).not.toBe(first.id)
  })

  it('tell whoever serves a user that the machine ends, now or with its session, and nobody else', () => {
    startSeats(2)
    const [serving, free] = agents as [FakeAgent, FakeAgent]
    for (const [index, agent] of agents.entries()) agent.events.listening(4001 + index)
    seats.startSession({ agentId: serving.id, sessionId: 's1', userId: 'ada' })
    expect(serving.ends).toEqual([])
    seats.interrupted(2000)
    seats.interrupted(1000)
    expect(serving.ends).toEqual([2000, 1000])
    expect(free.ends).toEqual([])
    seats.startSession({ agentId: free.id, sessionId: 's2', userId: 'bob' })
    expect(free.ends).toEqual([1000])
  })

  it('end an agent that does not leave after its session', async () => {
    startSeats(1)
    last().events.listening(4001)
    seats.startSession({ agentId: last().id, sessionId: 's1', userId: 'ada' })
    last().events.sessionTaken('s1')
    last().events.ended()
    expect(last().stops).toBe(0)
    await clock.advance(2000)
    expect(last().stops).toBe(1)
  })

  it('give up a session that the agent does not take in time', async () => {
    startSeats(1)
    last().events.listening(4001)
    seats.startSession({ agentId: last().id, sessionId: 's1', userId: 'ada' })
    await clock.advance(5000)
    expect(answers).toMatchObject([{ sessionId: 's1', taken: false, error: /in time/ }])
    expect(last().stops).toBe(1)
  })

  it('refuse a session for an agent that is not here, and call it gone when it is to stop', () => {
    startSeats(1)
    seats.startSession({ agentId: 'other', sessionId: 's1', userId: 'ada' })
    expect(answers).toMatchObject([{ agentId: 'other', taken: false }])
    seats.stopAgent('other')
    expect(reports).toMatchObject([{ agentId: 'other', status: 'GONE' }])
  })

  it('restart at once after the first failure, then later and later', async () => {
    startSeats(1)
    crash()
    await clock.advance(0)
    expect(agents).toHaveLength(2)
    for (const waitMs of [500, 1000, 2000, 4000, 4000]) {
      crash()
      const before = agents.length
      await clock.advance(waitMs - 1)
      expect(agents).toHaveLength(before)
      await clock.advance(1)
      expect(agents).toHaveLength(before + 1)
    }
  })

  it('lower the capacity when a seat fails five times in a row, and raise it when its agent stays', async () => {
    startSeats(2)
    for (let failure = 0; failure < 5; failure += 1) {
      expect(seats.capacity).toBe(2)
      crash()
      await clock.advance(4000)
    }
    expect(capacities).toEqual([1])
    last().events.listening(4001)
    await clock.advance(9999)
    expect(capacities).toEqual([1])
    await clock.advance(1)
    expect(capacities).toEqual([1, 2])
    expect(seats.capacity).toBe(2)
  })

  it('count an agent that never listens as failed', async () => {
    startSeats(1)
    await clock.advance(30_000)
    expect(last().stops).toBe(1)
    exit(last(), 'killed by SIGTERM')
    await clock.advance(0)
    crash()
    await clock.advance(499)
    expect(agents).toHaveLength(2)
  })

  it('drain: free agents end, live ones may finish, and none follows', async () => {
    startSeats(3)
    const [starting, free, live] = agents as [FakeAgent, FakeAgent, FakeAgent]
    free.events.listening(4001)
    live.events.listening(4002)
    seats.startSession({ agentId: live.id, sessionId: 's1', userId: 'ada' })
    live.events.sessionTaken('s1')
    seats.drain(false)
    expect([starting.stops, free.stops, live.stops]).toEqual([1, 1, 0])
    exit(starting, 'killed by SIGTERM')
    exit(free, 'killed by SIGTERM')
    await clock.advance(60_000)
    expect(emptied).toBe(0)
    live.events.ended()
    exit(live, 'exited with code 0')
    await clock.advance(60_000)
    expect(emptied).toBe(1)
    expect(agents).toHaveLength(3)
    seats.drain(false)
    expect(emptied).toBe(2)
  })

  it('drain with a word to whoever serves a user, once', () => {
    startSeats(2)
    const [free, live] = agents as [FakeAgent, FakeAgent]
    free.events.listening(4001)
    live.events.listening(4002)
    seats.startSession({ agentId: live.id, sessionId: 's1', userId: 'ada' })
    seats.drain(false)
    expect(live.drains).toBe(0)
    seats.drain(true)
    seats.drain(true)
    expect([free.drains, live.drains]).toEqual([0, 1])
  })

  it('tell why a session failed with the end of its agent', () => {
    startSeats(1)
    const agent = last()
    agent.events.listening(4001)
    seats.startSession({ agentId: agent.id, sessionId: 's1', userId: 'ada' })
    agent.events.sessionTaken('s1')
    crash(agent)
    expect(reports.at(-1)).toMatchObject({ status: 'GONE', sessionId: 's1', failure: 'killed by SIGSEGV' })
  })
})
