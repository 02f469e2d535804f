import { describe, it } from 'vitest'
import { algorithm } from '../../../scaling-algorithms/fixed/algorithm.ts'
import { expectPlan } from '../../support/expect-plan.ts'
import { aHost, anEvent, aSnapshot, aTick, now } from '../../support/factories.ts'

describe('the fixed algorithm', () => {
  const hosts = ['h1', 'h2', 'h3'].map((id) => aHost({ id }))

  it('launches what is lacking of N hosts', () => {
    expectPlan(algorithm.plan(aSnapshot({ hosts }), anEvent(), { hosts: 5 }))
      .launches(2, '5 hosts are to serve, 3 do')
      .andNothingElse()
  })

  it('drains empty hosts beyond N on the tick', () => {
    const busy = aHost({ id: 'h0', agents: ['RUNNING', 'WAITING'] })
    const snapshot = aSnapshot({ hosts: [busy, ...hosts] })
    expectPlan(algorithm.plan(snapshot, anEvent(), { hosts: 2 })).andNothingElse()
    expectPlan(algorithm.plan(snapshot, aTick, { hosts: 2 }))
      .drains('h1', 'h2')
      .andNothingElse()
  })

  it('keeps N within min_hosts and max_hosts', () => {
    expectPlan(algorithm.plan(aSnapshot({ hosts, region: { minHosts: 2 } }), aTick, { hosts: 0 })).drains(
      'h1',
    )
    expectPlan(algorithm.plan(aSnapshot({ hosts, region: { maxHosts: 4 } }), aTick, { hosts: 9 })).launches(1)
  })

  it('says why it launches nothing', () => {
    const blocked = aSnapshot({ launchBlockedUntil: now + 1, region: { launchErrorCode: 'quota-exceeded' } })
    expectPlan(algorithm.plan(blocked, aTick, { hosts: 1 }))
      .refuses('1 hosts are to serve, 0 do, but launches are held back for now because quota-exceeded')
      .andNothingElse()
    const full = aSnapshot({ hosts: [aHost({ status: 'TERMINATING' })], region: { maxHosts: 1 } })
    expectPlan(algorithm.plan(full, aTick, { hosts: 1 }))
      .refuses(/max_hosts is 1$/)
      .andNothingElse()
  })
})
