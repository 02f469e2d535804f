import { describe, expect, it } from 'vitest'
import { algorithm } from '../../../scaling-algorithms/default/algorithm.ts'
import type { AgentStatus } from '../../../src/model/agent.ts'
import type { AssignRequest } from '../../../src/model/assignment.ts'
import type { FleetEvent } from '../../../src/model/event.ts'
import type { RegionSnapshot } from '../../../src/model/snapshot.ts'
import { expectPlan } from '../../support/expect-plan.ts'
import { aHost, anEvent, aSnapshot, aTick, now } from '../../support/factories.ts'

const plan = (snapshot: RegionSnapshot, event: FleetEvent = aTick, idleSeconds = 0) =>
  algorithm.plan(snapshot, event, { idle_seconds: idleSeconds })
const threeFull = ['h1', 'h2', 'h3'].map((id) => aHost({ id }))

describe('launches of the default algorithm', () => {
  it('fills the buffer of an empty region, and says by what count', () => {
    expectPlan(plan(aSnapshot(), anEvent()))
      .launches(2, '4 agents are to be free, 0 are and 0 are coming: 2 hosts of 2 agents')
      .andNothingElse()
  })

  it('rounds the shortfall up to whole hosts', () => {
    const hosts = [aHost({ agents: ['WAITING', 'RUNNING'] })]
    expectPlan(plan(aSnapshot({ hosts })))
      .launches(2, '4 agents are to be free, 1 is and 0 are coming: 2 hosts of 2 agents')
      .andNothingElse()
  })

  it.each(['LAUNCHING', 'PRE_CONNECTION', 'ACTIVE'] as const)(
    'counts the seats of a %s host as coming',
    (status) => {
      const hosts = [aHost({ id: 'h1' }), aHost({ id: 'h2', status, agents: [] })]
      expectPlan(plan(aSnapshot({ hosts }))).andNothingElse()
    },
  )

  it('counts agents that wait on a host that is not ACTIVE yet as coming, not as free', () => {
    const hosts = [aHost(), aHost({ id: 'h2', status: 'PRE_CONNECTION', agents: ['WAITING', 'WAITING'] })]
    expectPlan(plan(aSnapshot({ hosts }))).andNothingElse()
    expectPlan(plan(aSnapshot({ hosts, region: { targetFreeAgents: 2 } }))).andNothingElse()
  })

  it('counts the seat of a DYING agent as coming, up to the capacity that its manager keeps', () => {
    const dying = aHost({ id: 'h2', agents: ['WAITING', 'DYING'] })
    expectPlan(plan(aSnapshot({ hosts: [aHost(), dying] }))).andNothingElse()
    expectPlan(plan(aSnapshot({ hosts: [aHost(), { ...dying, capacity: 1 }] })))
      .launches(1)
      .andNothingElse()
  })

  it.each(['UNRESPONSIVE', 'DRAINING', 'TERMINATING'] as const)('counts nothing of a %s host', (status) => {
    const hosts = [aHost(), aHost({ id: 'h2', status, agents: ['RUNNING', 'DYING'] })]
    expectPlan(plan(aSnapshot({ hosts })))
      .launches(1)
      .andNothingElse()
  })

  it('counts nothing of a host whose image is not the ACTIVE one', () => {
    const hosts = threeFull.map((host) => ({ ...host, imageId: 'image-1' }))
    expectPlan(plan(aSnapshot({ hosts })))
      .launches(2)
      .andNothingElse()
  })

  it('launches for users who wait', () => {
    expectPlan(plan(aSnapshot({ waitingUsers: 3, region: { targetFreeAgents: 0 } }), anEvent()))
      .launches(
        2,
        '3 agents are to be free (3 of them for users who wait), 0 are and 0 are coming: 2 hosts of 2 agents',
      )
      .andNothingElse()
  })

  it('launches what min_hosts lacks', () => {
    expectPlan(plan(aSnapshot({ hosts: [aHost()], region: { targetFreeAgents: 0, minHosts: 3 } })))
      .launches(2, '3 hosts are to serve at least, 1 is: 2 hosts of 2 agents')
      .andNothingElse()
  })

  it('lets hosts of the buffer count for min_hosts', () => {
    expectPlan(plan(aSnapshot({ region: { minHosts: 2 } })))
      .launches(2)
      .andNothingElse()
  })
})

describe('refusals of the default algorithm', () => {
  it('launches what max_hosts allows, counting every host that may cost money, and refuses the rest', () => {
    const hosts = [
      aHost({ id: 'h1', status: 'TERMINATING' }),
      aHost({ id: 'h2', status: 'DRAINING', agents: ['RUNNING'] }),
    ]
    expectPlan(plan(aSnapshot({ hosts, region: { maxHosts: 3 } })))
      .launches(1)
      .refuses('the buffer of 4 free agents lacks hosts, but max_hosts 3 allows only 1')
      .andNothingElse()
  })

  it('launches nothing above max_hosts', () => {
    const hosts = [aHost({ status: 'DRAINING', agents: ['RUNNING'] })]
    expectPlan(plan(aSnapshot({ hosts, region: { maxHosts: 1 } })))
      .refuses(/but max_hosts 1 allows none$/)
      .andNothingElse()
  })

  it('says the same of a full region, whoever comes and goes', () => {
    const full = (...agents: readonly AgentStatus[]) =>
      plan(aSnapshot({ hosts: [aHost({ agents })], region: { maxHosts: 1 } }))
    expect(full('RUNNING', 'WAITING')).toEqual(full('RUNNING', 'RUNNING'))
    const queue = { hosts: [aHost({ agents: ['RUNNING', 'RUNNING'] })], region: { maxHosts: 1 } }
    expect(plan(aSnapshot({ ...queue, waitingUsers: 1 }))).toEqual(
      plan(aSnapshot({ ...queue, waitingUsers: 9 })),
    )
  })

  it('holds launches back until the back-off ends, in words that do not change with time', () => {
    const blocked = {
      launchBlockedUntil: now + 1,
      region: { launchErrorCode: 'insufficient-capacity', launchError: 'no g5 left' },
    }
    const early = plan(aSnapshot({ ...blocked, now: now - 60_000 }))
    expectPlan(plan(aSnapshot(blocked)))
      .refuses(/but launches are held back for now because insufficient-capacity: no g5 left$/)
      .andNothingElse()
    expect(plan(aSnapshot(blocked))).toEqual(early)
    expectPlan(plan(aSnapshot({ ...blocked, now: now + 1 })))
      .launches(2)
      .andNothingElse()
  })

  it('launches and drains nothing in a region that is not enabled', () => {
    expectPlan(plan(aSnapshot({ region: { enabled: false } })))
      .refuses(/the region is not enabled$/)
      .andNothingElse()
    expectPlan(plan(aSnapshot({ hosts: threeFull, region: { enabled: false } }))).andNothingElse()
  })

  it('launches and drains nothing without an ACTIVE image', () => {
    expectPlan(plan(aSnapshot({ hosts: threeFull, activeImage: undefined })))
      .refuses(/no image is ACTIVE$/)
      .andNothingElse()
  })
})

describe('drains of the default algorithm', () => {
  it('drains a host when a whole one more than the target is free, and only on a tick', () => {
    expectPlan(plan(aSnapshot({ hosts: threeFull })))
      .drains('h1')
      .andNothingElse()
    expectPlan(plan(aSnapshot({ hosts: threeFull }), anEvent())).andNothingElse()
  })

  it('keeps a host that the target would miss', () => {
    const hosts = [aHost(), aHost({ id: 'h2', agents: ['WAITING', 'RUNNING'] }), aHost({ id: 'h3' })]
    expectPlan(plan(aSnapshot({ hosts }))).andNothingElse()
    expectPlan(plan(aSnapshot({ hosts, waitingUsers: 1, region: { targetFreeAgents: 3 } }))).andNothingElse()
    expectPlan(plan(aSnapshot({ hosts, region: { targetFreeAgents: 3 } })))
      .drains('h1')
      .andNothingElse()
  })

  it('does not let go of what is there for what is on its way', () => {
    const hosts = [aHost(), aHost({ id: 'h2' }), aHost({ id: 'h3', status: 'LAUNCHING' })]
    expectPlan(plan(aSnapshot({ hosts }))).andNothingElse()
  })

  it('takes the fewest seats first, then the oldest, then by id', () => {
    const hosts = [
      aHost({ id: 'h1', createdAt: now - 50_000 }),
      aHost({ id: 'h2', createdAt: now - 60_000 }),
      aHost({ id: 'h3', createdAt: now - 60_000 }),
      aHost({ id: 'h4', capacity: 1, agents: ['WAITING'], createdAt: now - 40_000 }),
    ]
    const drained = plan(aSnapshot({ hosts, region: { targetFreeAgents: 0 } }))
    expectPlan(drained).drains('h4', 'h2', 'h3', 'h1').andNothingElse()
  })

  it('never drains a busy or a protected host', () => {
    const hosts = [
      aHost({ id: 'h1', capacity: 9, agents: [...Array<'WAITING'>(8).fill('WAITING'), 'CONNECTING'] }),
      aHost({ id: 'h2', protected: true }),
    ]
    expectPlan(plan(aSnapshot({ hosts, region: { targetFreeAgents: 0 } }))).andNothingElse()
  })

  it('keeps min_hosts, and does not count on hosts that are on their way', () => {
    const hosts = [...threeFull, aHost({ id: 'h4', status: 'LAUNCHING' })]
    expectPlan(plan(aSnapshot({ hosts, region: { targetFreeAgents: 0, minHosts: 2 } })))
      .drains('h1')
      .andNothingElse()
  })

  it('takes down a host without usable seats even while the buffer is not full', () => {
    const hosts = [aHost({ id: 'h1' }), aHost({ id: 'h2', capacity: 0, agents: ['DYING'] })]
    expectPlan(plan(aSnapshot({ hosts, region: { maxHosts: 2 } })))
      .refuses(/max_hosts 2/)
      .drains('h2')
      .andNothingElse()
  })

  it('waits until a host has been empty for idle_seconds', () => {
    const hosts = threeFull.map((host) => ({
      ...host,
      statusSince: now - 900_000,
      agents: host.agents.map((agent) => ({
        ...agent,
        statusSince: now - (host.id === 'h2' ? 60_000 : 59_000),
      })),
    }))
    expectPlan(plan(aSnapshot({ hosts }), aTick, 60))
      .drains('h2')
      .andNothingElse()
    expectPlan(plan(aSnapshot({ hosts }), aTick, 61)).andNothingElse()
  })
})

describe('rank of the default algorithm', () => {
  const request: AssignRequest = { userId: 'u', regions: ['test/one'], waitMs: 0 }
  const rank = (snapshot: RegionSnapshot) => algorithm.rank!(snapshot, request, { idle_seconds: 0 })

  it('offers the fullest host first, then by id', () => {
    const hosts = [
      aHost({ id: 'h1' }),
      aHost({ id: 'h2', agents: ['RUNNING', 'WAITING'] }),
      aHost({ id: 'h3', agents: ['WAITING'] }),
    ]
    expect(rank(aSnapshot({ hosts }))).toEqual(['h2-a2', 'h3-a1', 'h1-a1', 'h1-a2'])
  })

  it('offers only ACTIVE hosts of the ACTIVE image', () => {
    const hosts = [
      aHost({ id: 'h1', imageId: 'image-1' }),
      aHost({ id: 'h2', status: 'UNRESPONSIVE', agents: ['WAITING'] }),
      aHost({ id: 'h3', status: 'PRE_CONNECTION', agents: ['WAITING'] }),
    ]
    expect(rank(aSnapshot({ hosts }))).toEqual([])
    expect(rank(aSnapshot({ hosts: threeFull, activeImage: undefined }))).toEqual([])
  })

  it('offers the 32 best of many', () => {
    const hosts = Array.from({ length: 200 }, (_, index) =>
      aHost({ id: `h${1000 - index}`, agents: index % 50 === 0 ? ['WAITING'] : ['WAITING', 'WAITING'] }),
    )
    const ids = rank(aSnapshot({ hosts }))
    expect(ids).toHaveLength(32)
    expect(ids.slice(0, 6)).toEqual(['h1000-a1', 'h850-a1', 'h900-a1', 'h950-a1', 'h801-a1', 'h801-a2'])
  })
})
