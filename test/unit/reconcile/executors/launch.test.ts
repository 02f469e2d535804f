import { beforeEach, describe, expect, it } from 'vitest'

import { noFaults } from '../../../../src/lib/fault-points.ts'
import { LaunchError } from '../../../../src/model/host-handler.ts'
import type { HostHandler, LaunchSpec } from '../../../../src/model/host-handler.ts'
import type { BlockedOffering, Offering } from '../../../../src/model/offering.ts'
import type { ActionOf } from '../../../../src/reconcile/action-queue.ts'
import type { LaunchDependencies } from '../../../../src/reconcile/executors/launch.ts'
import { createLaunchExecutor } from '../../../../src/reconcile/executors/launch.ts'
import type { LaunchOutcome, LaunchToken, Refusal } from '../../../../src/store/fleet-store.ts'
import { now } from '../../../support/factories.ts'
import { patient } from '../../../support/small-fleet.ts'

const aLaunch: ActionOf<'launch'> = {
  id: 'test/one:1.0',
  regionId: 'test/one',
  status: 'RUNNING',
  nextAttemptAt: null,
  kind: 'launch',
  target: null,
  params: { image: 'ami-2', version: '2.0.0', count: 1, instanceTypes: ['small'], agentsPerHost: 2 },
  attempts: 1,
  offering: null,
  request: null,
}
const spot: Offering = { instanceType: 'small', zone: 'a', lifecycle: 'spot', agents: 2 }
const onDemand: Offering = { ...spot, lifecycle: 'on-demand' }
const blockOf = (offering: Offering, until = now + 1): BlockedOffering => ({
  id: JSON.stringify(offering),
  regionId: 'test/one',
  ...offering,
  code: 'insufficient-capacity',
  reason: 'none left',
  until,
  revision: 1,
})

/** What was done, in order. */
let order: string[]
let sent: LaunchSpec[]
let tokens: LaunchToken[]
let finished: LaunchOutcome[]
let refused: Refusal[]
/** What the provider answers, the last one again and again. */
let answers: (readonly string[] | Error)[]
let blocks: BlockedOffering[]
let isCalling: boolean
let isRepeat: boolean

const handler: HostHandler = {
  launch: async (spec) => {
    order.push('call')
    sent.push(spec)
    const answer = (answers.length > 1 ? answers.shift() : answers[0]) ?? []
    if (answer instanceof Error) throw answer
    return { cloudIds: answer }
  },
  async *list() {
    // Nobody asks.
  },
  terminate: async (ids) => new Map(ids.map((id) => [id, 'gone'] as const)),
}
const choosy: HostHandler = {
  ...handler,
  offerings: async () => [spot, onDemand],
  resolve: async ({ offering }) => ({ resolved: order.push('resolve'), market: offering?.lifecycle ?? '' }),
}

beforeEach(() => {
  order = []
  sent = []
  tokens = []
  finished = []
  refused = []
  answers = [['machine-1']]
  blocks = []
  isCalling = false
  isRepeat = false
})

function anExecutor(changes: Partial<LaunchDependencies> = {}) {
  return createLaunchExecutor({
    store: {
      beginCall: async (_id, _fence, offering, request, token) => {
        order.push('store call')
        tokens.push(token)
        isRepeat ||= isCalling
        isCalling = true
        return { offering, request, isRepeat }
      },
      settleCall: async () => {
        isCalling = false
      },
      refuseCall: async (_id, _fence, refusal) => {
        refused.push(refusal)
        const { next = spot } = refusal
        return { next: { ...aLaunch, id: `${aLaunch.id}~2`, offering: next } }
      },
      finishLaunch: async (_id, _fence, outcome) => {
        finished.push(outcome)
        return true
      },
    },
    handlerOf: async () => handler,
    regionOf: () => ({
      id: 'test/one',
      instanceTypes: ['small'],
      agentsPerHost: 2,
      providerOptions: {},
      blockedOfferings: blocks,
    }),
    now: () => now,
    fence: () => 7,
    fleetId: () => 'fleet',
    caPins: () => ['sha256/pin'],
    tokenOf: (id, attempt) => ({ text: `token ${id} ${attempt}`, id: 'token-id', secretHash: 'hash' }),
    blockS: { capacity: 180, quota: 900 },
    fault: noFaults,
    ...changes,
  })
}
const capacity = new LaunchError('insufficient-capacity', 'none left')

describe('a call', () => {
  it('is stored, and its token, before the provider is asked', async () => {
    expect(await anExecutor()(aLaunch, patient)).toMatchObject({ outcome: 'done' })
    expect(order).toEqual(['store call', 'call'])
    expect(tokens).toEqual([{ id: 'token-id', secretHash: 'hash', uses: 1, lifetimeS: 900 }])
    expect(sent[0]).toMatchObject({
      enrolmentToken: `token ${aLaunch.id} 1`,
      caPins: ['sha256/pin'],
      isRepeat: false,
    })
  })

  it('asks nobody once the lease is lost, or the call is not stored', async () => {
    const { store } = storeThat({ beginCall: async () => undefined })
    expect(await anExecutor({ store })(aLaunch, patient)).toMatchObject({ code: 'not-stored' })
    expect(await anExecutor({ fence: () => undefined })(aLaunch, patient)).toMatchObject({ code: 'standby' })
    expect(sent).toHaveLength(0)
  })

  it('is not made when nobody wants its hosts any more', async () => {
    const { store } = storeThat({ beginCall: async () => 'cancelled' })
    expect(await anExecutor({ store })(aLaunch, patient)).toMatchObject({ outcome: 'done' })
    expect(sent).toHaveLength(0)
  })

  it('is not done before its end is stored: the lease may have been lost in the middle', async () => {
    const ends = [false, true]
    const { store } = storeThat({ finishLaunch: async () => ends.shift() ?? true })
    const execute = anExecutor({ store })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'failed', code: 'not-stored' })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'done' })
  })

  it('that got no answer goes out again as it was, though another offering is better by now', async () => {
    answers = [new Error('socket hang up'), ['machine-1']]
    const execute = anExecutor({ handlerOf: async () => choosy })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'failed', code: 'unknown' })
    blocks = [blockOf(spot)]
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'done' })
    expect(sent.map(({ offering }) => offering)).toEqual([spot, spot])
    expect(sent[1]?.token).toBe(sent[0]?.token)
    expect(sent[1]?.request).toEqual(sent[0]?.request)
    expect(sent.map((spec) => spec.isRepeat)).toEqual([false, true])
    expect(order.filter((step) => step === 'resolve')).toHaveLength(1)
  })

  it('is taken up from its row after a crash', async () => {
    const request = { as: 'stored' }
    await anExecutor({ handlerOf: async () => choosy })({ ...aLaunch, offering: onDemand, request }, patient)
    expect(sent[0]).toMatchObject({ offering: onDemand, request })
    expect(order).not.toContain('resolve')
  })

  it('that was surely not carried out is no repeat, and stays the same call', async () => {
    answers = [new LaunchError('throttled', 'slow down'), ['machine-1']]
    const execute = anExecutor({ handlerOf: async () => choosy })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'failed', code: 'throttled' })
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'done' })
    expect(sent.map((spec) => spec.isRepeat)).toEqual([false, false])
    expect(sent[1]?.token).toBe(sent[0]?.token)
  })

  it('is asked for on and on when the permission went after a lost answer', async () => {
    answers = [new Error('reset'), new LaunchError('unauthorized', 'no')]
    const execute = anExecutor()
    await execute(aLaunch, patient)
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'failed', code: 'unauthorized' })
    expect(finished).toHaveLength(0)
  })

  it('ends its launch when nobody can say what an unclassified code means', async () => {
    const strange = { providerCode: 'Odd', attemptsAtMost: 3 }
    answers = [new LaunchError('transient', 'odd', strange)]
    const execute = anExecutor()
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'failed', code: 'transient' })
    }
    expect(await execute(aLaunch, patient)).toMatchObject({ outcome: 'done' })
    expect(finished).toMatchObject([{ code: 'invalid-request' }])
  })
})

describe('a refusal', () => {
  it.each([
    [capacity, 180],
    [new LaunchError('quota-exceeded', 'too many'), 900],
  ])('blocks the offering and gives the next call: $code', async (error, blockS) => {
    answers = [error]
    const result = await anExecutor({ handlerOf: async () => choosy })(aLaunch, patient)
    expect(refused).toEqual([{ code: error.code, message: error.message, blockS, next: onDemand }])
    expect(result).toMatchObject({ outcome: 'done', next: { id: `${aLaunch.id}~2`, offering: onDemand } })
  })

  it('of the last offering ends the launch, until the first block ends', async () => {
    answers = [capacity]
    blocks = [blockOf(onDemand, now + 60_000)]
    await anExecutor({ handlerOf: async () => choosy })(aLaunch, patient)
    expect(refused).toHaveLength(0)
    expect(finished).toMatchObject([
      { cloudIds: [], code: 'insufficient-capacity', blockS: 180, until: now + 60_000 },
    ])
  })

  it('of another kind, or where there is one kind of machine, ends the launch', async () => {
    answers = [new LaunchError('invalid-request', 'no such image')]
    await anExecutor({ handlerOf: async () => choosy })(aLaunch, patient)
    answers = [capacity]
    await anExecutor()(aLaunch, patient)
    expect(refused).toHaveLength(0)
    expect(finished.map(({ code }) => code)).toEqual(['invalid-request', 'insufficient-capacity'])
  })

  it('is not made where machines elsewhere would find no way to the daemon', async () => {
    const noWayHome = 'set MUSTER_MANAGER_ADVERTISE'
    const elsewhere: HostHandler = { ...choosy, machinesAreElsewhere: true }
    await anExecutor({ handlerOf: async () => elsewhere, noWayHome })(aLaunch, patient)
    expect(order).toEqual([])
    expect(finished).toMatchObject([{ cloudIds: [], code: 'invalid-request', message: noWayHome }])
    // What was stored before goes out as it was: its machines may be there.
    const stored = { ...aLaunch, offering: spot, request: { stored: true } }
    await anExecutor({ handlerOf: async () => elsewhere, noWayHome })(stored, patient)
    await anExecutor({ handlerOf: async () => elsewhere })(aLaunch, patient)
    await anExecutor({ handlerOf: async () => choosy, noWayHome })(aLaunch, patient)
    expect(sent).toHaveLength(3)
  })

  it('is not made of offerings that are all blocked: nobody is asked', async () => {
    blocks = [blockOf(spot, now + 5_000), blockOf(onDemand, now + 2_000)]
    await anExecutor({ handlerOf: async () => choosy })(aLaunch, patient)
    expect(sent).toHaveLength(0)
    expect(finished).toMatchObject([{ code: 'insufficient-capacity', until: now + 2_000 }])
  })
})

describe('the next call', () => {
  it('asks for its own offering, under a token of its own', async () => {
    answers = [['machine-1']]
    const execute = anExecutor({ handlerOf: async () => choosy })
    await execute(aLaunch, patient)
    await execute({ ...aLaunch, id: `${aLaunch.id}~2`, offering: onDemand }, patient)
    expect(sent.map(({ launchId, attempt }) => [launchId, attempt])).toEqual([
      [aLaunch.id, 1],
      [aLaunch.id, 2],
    ])
    expect(sent[1]).toMatchObject({ offering: onDemand, enrolmentToken: `token ${aLaunch.id} 2` })
    expect(sent[1]?.token).not.toBe(sent[0]?.token)
  })
})

describe('a launch whose provider cannot be loaded', () => {
  const handlerOf = () => Promise.reject(new Error('there is no provider "nowhere"'))

  it('ends at its first attempt, so that the region can be mended', async () => {
    expect(await anExecutor({ handlerOf })(aLaunch, patient)).toMatchObject({ outcome: 'done' })
    expect(finished).toMatchObject([{ cloudIds: [], message: 'there is no provider "nowhere"' }])
  })

  it('is kept at a later one: an earlier call may have started machines', async () => {
    const execute = anExecutor({ handlerOf })
    await expect(execute({ ...aLaunch, attempts: 2 }, patient)).rejects.toThrow('nowhere')
  })
})

const begun = { offering: spot, request: {}, isRepeat: false } as const

function storeThat(changes: Partial<LaunchDependencies['store']>): Pick<LaunchDependencies, 'store'> {
  return {
    store: {
      beginCall: async (_id, _fence, offering, request) => ({
        ...begun,
        offering,
        request,
      }),
      settleCall: async () => undefined,
      refuseCall: async () => ({ next: undefined }),
      finishLaunch: async () => true,
      ...changes,
    },
  }
}
