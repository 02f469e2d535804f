import { expect, it } from 'vitest'

import { Daemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'

it('a daemon that waits for its database at the start heeds the first signal', async () => {
  const [api, graphql, managers] = [await freePort(), await freePort(), await freePort()]
  const daemon = new Daemon(
    { api, graphql, managers },
    { databaseUrl: `postgres://127.0.0.1:${await freePort()}/nobody` },
  )
  try {
    await daemon.start('spawned')
    await eventually(() => daemon.output.includes('waiting for the database'))
    // It would wait for ever: nobody is there.
    expect(await daemon.signal('SIGTERM')).toBe(0)
  } finally {
    await daemon.dispose()
  }
})
