import { describe, expect, it } from 'vitest'

import type { Transaction } from '../../../../src/embedded/database/database.ts'
import { startUpkeep } from '../../../../src/embedded/database/pglite/upkeep.ts'
import { silentLogger } from '../../../../src/lib/logger.ts'
import { TestClock } from '../../../support/test-clock.ts'

const megabyte = 1024 * 1024

function aSession() {
  const scripts: string[] = []
  const session = {
    scripts,
    walBytes: 0,
    fails: false,
    query: async () => [[String(session.walBytes)]],
    script: async (sql: string) => {
      if (session.fails) throw new Error('no')
      scripts.push(sql)
    },
  }
  return session satisfies Transaction
}

describe('the upkeep of an embedded database', () => {
  it('checkpoints after 64 MB of log, or a minute after the last if anything was written', async () => {
    const session = aSession()
    const clock = new TestClock()
    const upkeep = startUpkeep(session, clock, silentLogger)
    upkeep.noteStatement()
    await clock.advance(2_000)
    session.walBytes += 70 * megabyte
    upkeep.noteStatement()
    await clock.advance(1_000)
    expect(session.scripts).toEqual(['checkpoint'])
    session.walBytes += megabyte
    upkeep.noteStatement()
    await clock.advance(55_000)
    expect(session.scripts).toEqual(['checkpoint'])
    await clock.advance(10_000)
    expect(session.scripts).toEqual(['checkpoint', 'checkpoint'])
    await upkeep.stop()
  })

  it('leaves a database alone that nobody uses', async () => {
    const session = aSession()
    const clock = new TestClock()
    const upkeep = startUpkeep(session, clock, silentLogger)
    await clock.advance(2 * 60 * 60_000)
    expect(session.scripts).toEqual([])
    await upkeep.stop()
    expect(session.scripts).toEqual(['checkpoint'])
  })

  it('vacuums once an hour', async () => {
    const session = aSession()
    const clock = new TestClock()
    const upkeep = startUpkeep(session, clock, silentLogger)
    await clock.advance(61 * 60_000)
    upkeep.noteStatement()
    await clock.advance(2_000)
    expect(session.scripts).toEqual(['vacuum (analyze)'])
    await upkeep.stop()
  })

  it('tries again after a failure', async () => {
    const session = aSession()
    const clock = new TestClock()
    const upkeep = startUpkeep(session, clock, silentLogger)
    upkeep.noteStatement()
    await clock.advance(1_000)
    session.walBytes += 70 * megabyte
    session.fails = true
    upkeep.noteStatement()
    await clock.advance(3_000)
    session.fails = false
    await clock.advance(1_000)
    expect(session.scripts).toEqual(['checkpoint'])
    await upkeep.stop()
  })
})
