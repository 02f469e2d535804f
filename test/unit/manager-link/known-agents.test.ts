import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { KnownAgents } from '../../../src/manager-link/known-agents.ts'
import type { AgentStatusOnWire } from '../../../src/muster-v1/messages.ts'

const state = (agentId: string, status: AgentStatusOnWire, sessionId = '', failure = '') => ({
  ...{ agentId, status, sessionId, port: 4000, app: 'game', failure },
})
const told = (agents: KnownAgents) =>
  agents.takeBatch().reports.map(({ id, status, gone }) => [id, gone ?? status])

describe('the agents of a host as its manager tells them', () => {
  it('the first batch is full, the next hold what changed', () => {
    const agents = new KnownAgents()
    agents.merge([state('a', 'WAITING'), state('b', 'WAITING')])
    expect(agents.takeBatch()).toEqual({
      isFull: true,
      reports: ['a', 'b'].map((id) => ({ id, status: 'WAITING', port: 4000, app: 'game' })),
    })
    expect(agents.isWritten).toBe(true)
    agents.merge([state('a', 'WAITING')])
    expect(agents.isWritten).toBe(true)
    agents.merge([state('b', 'DYING'), state('b', 'GONE')])
    expect(agents.takeBatch()).toMatchObject({
      isFull: false,
      reports: [{ id: 'b', status: 'DYING', gone: true }],
    })
  })

  it('after a write of unknown outcome all is told again, what is gone too', () => {
    const agents = new KnownAgents()
    agents.merge([state('a', 'WAITING'), state('b', 'GONE')])
    agents.takeBatch()
    agents.writeAllAgain()
    expect(told(agents)).toEqual([
      ['a', 'WAITING'],
      ['b', true],
    ])
  })

  it('why a session failed is told with its end, however its agent ends in the end, and not at any length', () => {
    const agents = new KnownAgents()
    agents.merge([
      state('a', 'DYING', 's1', 'refused'),
      state('b', 'GONE', 's2', 'x'.repeat(2000)),
      state('c', 'GONE', 's3'),
    ])
    agents.merge([state('a', 'GONE', 's1')])
    const { reports } = agents.takeBatch()
    expect(reports).toMatchObject([{ id: 'a', failure: 'refused' }, { id: 'b' }, { id: 'c' }])
    expect(reports[1]!.failure).toHaveLength(1000)
    expect(reports[2]).not.toHaveProperty('failure')
  })

  it('what was told gone is forgotten once written', () => {
    const agents = new KnownAgents()
    agents.merge([state('a', 'WAITING'), state('b', 'GONE')])
    expect(agents.written(agents.takeBatch())).toEqual(['b'])
    expect(agents.size).toBe(1)
  })

  it('a session that was taken moves its agent on; one that is refused spends it', () => {
    const agents = new KnownAgents()
    agents.merge([state('a', 'WAITING'), state('b', 'WAITING')])
    agents.sessionTaken('a', 's1')
    agents.sessionTaken('nobody', 's2')
    agents.refuse('b', 'no room')
    agents.refuse('c', 'no such agent')
    expect(agents.sessionOf('a')).toBe('s1')
    expect([agents.mayServe('a'), agents.mayServe('b'), agents.mayServe('nobody')]).toEqual([
      true,
      false,
      false,
    ])
    expect(told(agents)).toEqual([
      ['a', 'CONNECTING'],
      ['b', 'DYING'],
      ['c', true],
    ])
  })

  it('passes over what has no meaning', () => {
    const agents = new KnownAgents()
    agents.merge([
      state('', 'WAITING'),
      state('x'.repeat(201), 'WAITING'),
      state('a', 'AGENT_STATUS_UNSPECIFIED'),
    ])
    expect(agents.size).toBe(0)
  })

  it('the last batch of any reports tells each agent the furthest it came', () => {
    const order = ['WAITING', 'ALLOCATED', 'CONNECTING', 'RUNNING', 'DYING', 'GONE'] as const
    const report = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom(...order))
    fc.assert(
      fc.property(fc.array(report), (reports) => {
        const agents = new KnownAgents()
        for (const [id, status] of reports) agents.merge([state(id, status)])
        for (const [id, status] of told(agents)) {
          const places = reports.filter(([agent]) => agent === id).map(([, said]) => order.indexOf(said))
          expect(status === true ? 'GONE' : status).toBe(order[Math.max(...places)])
        }
      }),
    )
  })
})
