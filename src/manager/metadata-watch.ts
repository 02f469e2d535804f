/**
 * Watches for what the provider says of the machine (docs/design/interruptions.md). Nothing that happens here is fatal:
 * a service that is away, slow or talks nonsense is asked again.
 */
import { z } from 'zod'

import { isAborted } from '../lib/aborted.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { InterruptionNotice } from '../model/interruption.ts'
import { MetadataService } from './metadata-service.ts'

export interface MetadataWatchOptions {
  /** `http://address[:port]` of the instance metadata service, and a path if it is below one. */
  readonly endpoint: string
  /** How often it is asked, in milliseconds; AWS advises 5 s. */
  readonly everyMs: number
  /** How long an answer may take, in milliseconds. */
  readonly timeoutMs: number
  /** Told at every look that finds it. */
  readonly noticed: (notice: InterruptionNotice) => void
  readonly clock: Clock
  readonly log: Logger
}

const moment = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))
/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html */
const instanceAction = z.object({ action: z.string(), time: moment })
/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html */
const rebalance = z.object({ noticeTime: moment })

const looks: readonly {
  readonly path: string
  readonly read: (document: unknown) => InterruptionNotice | undefined
}[] = [
  {
    path: 'spot/instance-action',
    read: (document) => {
      const { data } = instanceAction.safeParse(document)
      return data && { kind: 'interruption', at: data.time, action: data.action }
    },
  },
  {
    path: 'events/recommendations/rebalance',
    read: (document) => {
      const { data } = rebalance.safeParse(document)
      return data && { kind: 'rebalance', at: data.noticeTime, action: '' }
    },
  },
]

/** Faults that are told apart in the log: a service that is away for a month must not fill the disk. */
const mostFaults = 10

/** Resolves once the signal is aborted. Never throws. */
export async function watchMetadata(options: MetadataWatchOptions, signal: AbortSignal): Promise<void> {
  const { everyMs, clock, log, noticed } = options
  const service = new MetadataService(options)
  const said = new Set<string>()
  while (!signal.aborted) {
    for (const { path, read } of looks) {
      try {
        const text = await service.read(path, signal)
        if (text === undefined) continue
        const notice = read(JSON.parse(text))
        if (notice === undefined) throw new Error(`the metadata service talks nonsense at ${path}`)
        noticed(notice)
      } catch (error) {
        if (isAborted(signal)) return
        const fault = error instanceof Error ? error.message : String(error)
        const isNews = !said.has(fault) && said.size < mostFaults
        if (isNews) said.add(fault)
        log[isNews ? 'warn' : 'debug']({ path, fault }, 'provider’s notices not read')
      }
    }
    await clock.sleep(everyMs, signal).catch(() => undefined)
  }
}
