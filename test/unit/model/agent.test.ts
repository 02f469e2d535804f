import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AgentStatus } from '../../../src/model/agent.ts'
import { agentStatuses, agentTransitionIsLegal, isLive, liveAgentStatuses } from '../../../src/model/agent.ts'

const someLife = fc
  .array(fc.constantFrom(...agentStatuses), { minLength: 10, maxLength: 40 })
  .map((wishes) => {
    const life: AgentStatus[] = ['WAITING']
    for (const wish of wishes) if (agentTransitionIsLegal(life.at(-1)!, wish)) life.push(wish)
    return life
  })

describe('the life of an agent', () => {
  it('is WAITING once, serves once, and never comes back from DYING', () => {
    fc.assert(
      fc.property(someLife, (life) => {
        expect(new Set(life).size).toBe(life.length)
        expect(life.lastIndexOf('WAITING')).toBe(0)
        if (life.includes('DYING')) expect(life.at(-1)).toBe('DYING')
        const lives = life.map((status) => isLive({ status }))
        expect(lives.lastIndexOf(true) - lives.indexOf(true) + 1).toBe(
          lives.includes(true) ? lives.filter(Boolean).length : 1,
        )
      }),
    )
  })

  it('may end from every state, and skip states', () => {
    for (const status of agentStatuses.slice(0, -1))
      expect(agentTransitionIsLegal(status, 'DYING')).toBe(true)
    expect(agentTransitionIsLegal('WAITING', 'RUNNING')).toBe(true)
    expect(agentTransitionIsLegal('RUNNING', 'CONNECTING')).toBe(false)
  })

  it('counts as live in just the live states', () => {
    expect(agentStatuses.filter((status) => isLive({ status }))).toEqual(liveAgentStatuses)
  })
})
