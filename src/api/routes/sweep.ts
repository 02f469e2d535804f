import type { FastifyInstance } from 'fastify'
import { z } from 'zod'

import { MusterError } from '../../model/errors.ts'
import type { SweepReport } from '../../model/sweep.ts'
import type { ApiContext } from '../context.ts'
import type { SweepDesk } from '../sweep-desk.ts'
import { timeText } from '../time-text.ts'
import { checked, plainText } from '../validation.ts'

const sweepBody = z
  .strictObject({
    /** One region; all unless told. */
    region: plainText(128).optional(),
    /** Look and tell, and change nothing. */
    dry_run: z.boolean().default(false),
    /** What is held back may go on, for a while. */
    confirm: z.boolean().default(false),
  })
  .refine(({ dry_run: isDry, confirm }) => !(isDry && confirm), {
    path: ['confirm'],
    message: 'a dry run changes nothing: leave out dry_run or confirm',
  })
  .default({ dry_run: false, confirm: false })

/** `POST /v1/sweep`: a look at the provider's list now, answered once it has ended. */
export function sweepRoute(app: FastifyInstance, context: ApiContext & { readonly sweep: SweepDesk }): void {
  const { sweep, view, logger } = context
  app.post('/v1/sweep', { config: { access: 'operate' } }, async (request) => {
    const { region, dry_run: isDry, confirm } = checked(sweepBody, request.body ?? undefined)
    if (region !== undefined && !view.regionIds.includes(region)) {
      throw new MusterError('not-found', `there is no region ${JSON.stringify(region)}`)
    }
    const regionIds = region === undefined ? [...view.regionIds].sort() : [region]
    if (confirm) {
      for (const regionId of regionIds) await sweep.confirm(regionId, request.caller)
      logger.warn({ regions: regionIds, caller: request.caller }, 'sweep confirmed')
    }
    const reports = await Promise.all(regionIds.map((regionId) => sweep.look(regionId, { isDry })))
    return {
      dry_run: isDry,
      regions: reports.map((report) => ({
        ...shownReport(report),
        confirmed_until: timeText(view.snapshot(report.regionId)?.region.sweepConfirmedUntil ?? null),
      })),
    }
  })
}

function shownReport({ regionId, failure, machines, hosts, findings }: SweepReport) {
  return {
    region: regionId,
    failure,
    machines,
    hosts,
    findings: findings.map(({ kind, target, reason, state, dueAt }) => ({
      ...{ kind, target, reason, state },
      due_at: timeText(dueAt),
    })),
  }
}
