/**
 * Launch templates: CreateFleet cannot do without one, and it holds the user data with its enrolment token. So each
 * launch has a template of its own, named after the launch's token, that is removed as soon as the launch is answered.
 * One that is left over, by a daemon that was lost, holds a token that is worth nothing any more, and is removed after an
 * hour.
 */
import {
  CreateLaunchTemplateCommand,
  DeleteLaunchTemplateCommand,
  DescribeLaunchTemplatesCommand,
} from '@aws-sdk/client-ec2'
import type { RequestLaunchTemplateData, Tag } from '@aws-sdk/client-ec2'

import type { Clock } from '../../src/lib/clock.ts'
import { LaunchError } from '../../src/model/host-handler.ts'
import type { Ec2 } from './client.ts'
import { pagesOf } from './pages.ts'
import { tagKeys } from './request.ts'

const leftOverMs = 60 * 60 * 1000

export class LaunchTemplates {
  readonly #ec2: Ec2
  readonly #clock: Clock

  constructor(ec2: Ec2, clock: Clock) {
    this.#ec2 = ec2
    this.#clock = clock
  }

  /** It is there once this resolves; one of this name is this one. */
  async ensure(
    name: string,
    data: RequestLaunchTemplateData,
    tags: readonly Tag[],
    signal: AbortSignal,
  ): Promise<void> {
    const command = () =>
      new CreateLaunchTemplateCommand({
        LaunchTemplateName: name,
        LaunchTemplateData: data,
        TagSpecifications: [{ ResourceType: 'launch-template', Tags: [...tags] }],
      })
    try {
      await this.#ec2.sendHarmless('write', command, signal)
    } catch (error) {
      const isThere =
        error instanceof LaunchError &&
        error.providerCode === 'InvalidLaunchTemplateName.AlreadyExistsException'
      if (!isThere) throw error
    }
  }

  async remove(name: string, signal: AbortSignal): Promise<void> {
    const command = () => new DeleteLaunchTemplateCommand({ LaunchTemplateName: name })
    try {
      await this.#ec2.sendHarmless('write', command, signal)
    } catch (error) {
      const isGone =
        error instanceof LaunchError && (error.providerCode?.startsWith('InvalidLaunchTemplate') ?? false)
      if (!isGone) throw error
    }
  }

  /** Of this fleet, in all of its regions here. */
  async removeLeftOvers(fleetId: string, signal: AbortSignal): Promise<void> {
    const before = this.#clock.now() - leftOverMs
    const Filters = [{ Name: `tag:${tagKeys.fleet}`, Values: [fleetId] }]
    const pages = pagesOf((NextToken) =>
      this.#ec2.sendHarmless(
        'read',
        () => new DescribeLaunchTemplatesCommand({ Filters, NextToken }),
        signal,
      ),
    )
    for await (const { LaunchTemplates: templates = [] } of pages) {
      for (const { LaunchTemplateName: name, CreateTime, Tags = [] } of templates) {
        const isOurs = Tags.some(({ Key, Value }) => Key === tagKeys.fleet && Value === fleetId)
        if (!isOurs || name === undefined || CreateTime === undefined) continue
        if (CreateTime.getTime() < before) await this.remove(name, signal)
      }
    }
  }
}
