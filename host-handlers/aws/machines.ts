/** The machines of this fleet in one AWS region: finding and ending them. */
import { CreateTagsCommand, DescribeInstancesCommand, TerminateInstancesCommand } from '@aws-sdk/client-ec2'
import type { Filter, Instance } from '@aws-sdk/client-ec2'

import type { Clock } from '../../src/lib/clock.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import type { CloudHost } from '../../src/model/host-handler.ts'
import type { Ec2 } from './client.ts'
import { pagesOf } from './pages.ts'
import { tagKeys } from './request.ts'

export interface MachinesOptions {
  readonly ec2: Ec2
  readonly clock: Clock
  readonly fleetId: string
  readonly pageSize: number
  /** How long a fresh machine may be missing from lists, in milliseconds. */
  readonly visibilityMs: number
}

/** Every state but `terminated`: such a machine is remembered for an hour, and costs nothing. */
const standingStates = ['pending', 'running', 'stopping', 'stopped', 'shutting-down']
/** Ids in one request: what a filter takes at most is 200. */
const batchSize = 100
const forgetAbsentMs = 60 * 60 * 1000

export class Machines {
  readonly #options: MachinesOptions
  /** When a machine that was to be ended was first missing from EC2's answer. */
  readonly #absentSince = new Map<string, number>()

  constructor(options: MachinesOptions) {
    this.#options = options
  }

  /** Of one region of ours; throws when any page is missing, so that part of a list never passes for the whole. */
  async *list(regionId: string, signal: AbortSignal): AsyncGenerator<CloudHost> {
    const filters = [
      { Name: `tag:${tagKeys.region}`, Values: [regionId] },
      { Name: 'instance-state-name', Values: standingStates },
    ]
    for await (const instance of this.#describe(filters, signal)) {
      // A server that does not know a filter must not make machines of another region ours, nor bring the dead back.
      if (tagOf(instance, tagKeys.region) !== regionId || stateOf(instance) === 'terminated') continue
      yield {
        cloudId: idOf(instance),
        launchId: tagOf(instance, tagKeys.launch) ?? '',
        fleetId: tagOf(instance, tagKeys.fleet) ?? '',
        startedAt: instance.LaunchTime?.getTime() ?? 0,
        label: tagOf(instance, tagKeys.host),
      }
    }
  }

  async label(labels: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    for (const [id, hostId] of labels) {
      const input = { Resources: [id], Tags: [{ Key: tagKeys.host, Value: hostId }] }
      await this.#options.ec2.sendHarmless('write', () => new CreateTagsCommand(input), signal)
    }
  }

  /** All that one launch made, whatever became of them; sorted. */
  async ofLaunch(launchId: string, signal: AbortSignal): Promise<readonly string[]> {
    const ids: string[] = []
    for await (const instance of this.#describe(
      [{ Name: `tag:${tagKeys.launch}`, Values: [launchId] }],
      signal,
    )) {
      if (tagOf(instance, tagKeys.launch) === launchId) ids.push(idOf(instance))
    }
    return ids.toSorted()
  }

  /**
   * 'gone' is what EC2 calls terminated, or what has been absent from two looks that are far enough apart: a fresh
   * machine may be missing from one.
   */
  async terminate(
    ids: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, 'accepted' | 'gone'>> {
    const answers = new Map<string, 'accepted' | 'gone'>()
    const failures: unknown[] = []
    const unique = [...new Set(ids)]
    for (let start = 0; start < unique.length; start += batchSize) {
      const batch = unique.slice(start, start + batchSize)
      const states = await this.#statesOf(batch, signal)
      const toEnd = batch.filter((id) => isStanding(states.get(id)))
      const missing = await this.#terminateBatch(toEnd, failures, signal)
      for (const id of batch) {
        const state = missing.has(id) ? undefined : states.get(id)
        answers.set(id, state === undefined ? this.#absent(id) : this.#present(id, state))
      }
    }
    this.#forget()
    // Every other machine was asked to end first.
    if (failures.length > 0) throw failures[0]
    return answers
  }

  /** Gives those that EC2 does not know (yet, or any more); one of them makes it refuse a whole batch. */
  async #terminateBatch(
    ids: readonly string[],
    failures: unknown[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    if (ids.length === 0) return new Set()
    try {
      const InstanceIds = [...ids]
      await this.#options.ec2.sendHarmless(
        'write',
        () => new TerminateInstancesCommand({ InstanceIds }),
        signal,
      )
      return new Set()
    } catch (error) {
      if (!(error instanceof LaunchError) || error.code !== 'invalid-request') throw error
      if (ids.length > 1) {
        const half = Math.ceil(ids.length / 2)
        const first = await this.#terminateBatch(ids.slice(0, half), failures, signal)
        const second = await this.#terminateBatch(ids.slice(half), failures, signal)
        return new Set([...first, ...second])
      }
      if (error.providerCode === 'InvalidInstanceID.NotFound') return new Set(ids)
      failures.push(error)
      return new Set()
    }
  }

  async #statesOf(ids: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const states = new Map<string, string>()
    const filters = [{ Name: 'instance-id', Values: [...ids] }]
    for await (const instance of this.#describe(filters, signal)) {
      states.set(idOf(instance), stateOf(instance))
    }
    return states
  }

  /** Of this fleet only, whatever the filters say. */
  async *#describe(filters: readonly Filter[], signal: AbortSignal): AsyncGenerator<Instance> {
    const { ec2, fleetId, pageSize } = this.#options
    const Filters = [{ Name: `tag:${tagKeys.fleet}`, Values: [fleetId] }, ...filters]
    const pages = pagesOf((NextToken) =>
      ec2.sendHarmless(
        'read',
        () => new DescribeInstancesCommand({ Filters, MaxResults: pageSize, NextToken }),
        signal,
      ),
    )
    for await (const page of pages) {
      if (page.Reservations === undefined) throw new LaunchError('unknown', 'EC2 gave a page without a list')
      for (const { Instances = [] } of page.Reservations) {
        for (const instance of Instances) {
          if (tagOf(instance, tagKeys.fleet) === fleetId) yield instance
        }
      }
    }
  }

  #present(id: string, state: string): 'accepted' | 'gone' {
    this.#absentSince.delete(id)
    return state === 'terminated' ? 'gone' : 'accepted'
  }

  #absent(id: string): 'accepted' | 'gone' {
    const { clock, visibilityMs } = this.#options
    const now = clock.now()
    const since = this.#absentSince.get(id)
    if (since === undefined) this.#absentSince.set(id, now)
    if (since === undefined || now - since < visibilityMs) return 'accepted'
    this.#absentSince.delete(id)
    return 'gone'
  }

  #forget(): void {
    const before = this.#options.clock.now() - forgetAbsentMs
    for (const [id, since] of this.#absentSince) if (since < before) this.#absentSince.delete(id)
  }
}

function isStanding(state: string | undefined): boolean {
  return state !== undefined && state !== 'terminated' && state !== 'shutting-down'
}

function idOf(instance: Instance): string {
  if (instance.InstanceId !== undefined) return instance.InstanceId
  throw new LaunchError('unknown', 'EC2 gave an instance without an id')
}

function stateOf(instance: Instance): string {
  return instance.State?.Name ?? 'unknown'
}

function tagOf(instance: Instance, key: string): string | undefined {
  return instance.Tags?.find((tag) => tag.Key === key)?.Value
}
