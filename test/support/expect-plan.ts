import { expect } from 'vitest'
import type { Decision } from '../../src/model/decision.ts'

/** Sentences about a plan: `expectPlan(plan).launches(2).drains('h1').andNothingElse()`. */
export function expectPlan(plan: readonly Decision[]): PlanExpectation {
  const left = new Set(plan)
  const take = <Kind extends Decision['kind']>(kind: Kind): readonly Extract<Decision, { kind: Kind }>[] => {
    const taken = plan.filter((decision) => decision.kind === kind) as Extract<Decision, { kind: Kind }>[]
    for (const decision of taken) left.delete(decision)
    return taken
  }
  const expectation: PlanExpectation = {
    launches(count, reason) {
      const launches = take('launch')
      expect(launches.map((launch) => launch.count).reduce((sum, one) => sum + one, 0)).toBe(count)
      if (reason !== undefined) expect(launches.map((launch) => launch.reason)).toContain(reason)
      return expectation
    },
    drains(...hostIds) {
      expect(take('drain').map((decision) => decision.hostId)).toEqual(hostIds)
      return expectation
    },
    terminates(...hostIds) {
      expect(take('terminate').map((decision) => decision.hostId)).toEqual(hostIds)
      return expectation
    },
    suspects(...hostIds) {
      expect(take('suspect').map((decision) => decision.hostId)).toEqual(hostIds)
      return expectation
    },
    reports(...hostIds) {
      expect(take('report').map((decision) => decision.hostId)).toEqual(hostIds)
      return expectation
    },
    endsAgents(...agentIds) {
      expect(take('end-agent').map((decision) => decision.agentId)).toEqual(agentIds)
      return expectation
    },
    refuses(...reasons) {
      const said = take('refuse').map((refusal) => refusal.reason)
      expect(said).toHaveLength(reasons.length)
      for (const [place, reason] of reasons.entries()) expect(said[place]).toMatch(reason)
      return expectation
    },
    andNothingElse() {
      expect([...left]).toEqual([])
    },
  }
  return expectation
}

interface PlanExpectation {
  /** Hosts in all; `reason` must be one of the launches' reasons, word for word. */
  launches(count: number, reason?: string): PlanExpectation
  drains(...hostIds: readonly string[]): PlanExpectation
  terminates(...hostIds: readonly string[]): PlanExpectation
  suspects(...hostIds: readonly string[]): PlanExpectation
  reports(...hostIds: readonly string[]): PlanExpectation
  endsAgents(...agentIds: readonly string[]): PlanExpectation
  refuses(...reasons: readonly (string | RegExp)[]): PlanExpectation
  andNothingElse(): void
}
