/** Roll-outs through the doors that people and pipelines have: the command line, the API, a file at the start. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { ShownRollout } from '../../../src/api/shown-rollouts.ts'
import type { Daemon } from '../../support/daemon.ts'
import { shortLease, startDaemon } from '../../support/daemon.ts'
import { eventually } from '../../support/eventually.ts'
import { runMuster } from '../../support/run-muster.ts'

describe('roll-outs', () => {
  let daemon: Daemon
  beforeAll(async () => {
    daemon = await startDaemon({ environment: shortLease })
  })
  afterAll(() => daemon.dispose())

  const muster = async (...args: readonly string[]) => runMuster(args, await daemon.environment())
  const images = (content: unknown): string => {
    const path = join(daemon.dataDir, 'images.json')
    writeFileSync(path, JSON.stringify(content))
    return path
  }
  const all = async () =>
    (await daemon.get<{ rollouts: readonly ShownRollout[] }>('/v1/rollouts')).body.rollouts

  it('are started, shown, steered and followed to their end by the command line', async () => {
    const file = images({ version: '2.0.0', images: { 'local/demo': 'demo' } })
    const start = [
      'rollout',
      'start',
      '--images',
      file,
      '--option',
      'switch=hand',
      '--option',
      'prepare_s=3000',
    ]
    const started = await muster(...start)
    const asked = await muster('assign', '--user', 'ann', '--region', 'local/demo', '--version', '9')
    expect([asked.code, asked.stderr]).toEqual([1, expect.stringContaining('[version-mismatch]')])
    expect(started).toMatchObject({ code: 0, stderr: '' })
    const id =
      /^local\/demo: roll-out (\S+) to demo \(2\.0\.0\) is PREPARING$/m.exec(started.stdout)?.[1] ?? ''
    const again = await muster(...start, '--json')
    expect(JSON.parse(again.stdout)).toMatchObject([
      { image: { id }, rollout: { options: { switch: 'hand' } } },
    ])

    expect((await muster('rollout', 'pause', id)).stdout).toContain(`roll-out ${id} is held where it is`)
    const status = await muster('rollout')
    expect(status.stdout).toMatch(
      /^ROLL-OUT +REGION +VERSION.*\n\S+ +local\/demo +demo → 2\.0\.0 +[A-Z]+ \(paused\)/,
    )
    expect(JSON.parse((await muster('rollout', 'status', id, '--json')).stdout)).toMatchObject({
      id,
      paused: true,
    })

    const watching = muster('rollout', 'status', id, '--watch')
    await muster('rollout', 'rollback', id)
    const watched = await watching
    expect(watched.code).toBe(3)
    expect(watched.stdout).toMatch(/Z {2}local\/demo 2\.0\.0 ROLLED_BACK: [^\n]*\n$/)
    expect((await muster('rollout', 'switch', id)).stderr).toContain(`roll-out ${id} is ROLLED_BACK`)
  })

  it('that cannot be started say why', async () => {
    const start = (...args: readonly string[]) => muster('rollout', 'start', '--images', ...args)
    const none = images({ 'local/none': 'demo' })
    const [missing, unknown, option, usage] = await Promise.all([
      start('/nowhere.json'),
      start(none, '--version', '2.0.0'),
      start(none, '--version', '2.0.0', '--option', 'bake=1'),
      start(none, '--canary', '2'),
    ])
    expect([missing.code, missing.stderr]).toEqual([
      1,
      expect.stringContaining('cannot be read [config-invalid]'),
    ])
    expect(unknown.stderr).toContain('there is no region "local/none"; there are local/demo [not-found]\n')
    expect(option.stderr).toContain('there is no option bake; there are prepare_s')
    expect(usage.code).toBe(2)
  })

  it('of the daemon’s file begin at its start, once, and not again after a kill', async () => {
    const before = (await all()).length
    const file = {
      MUSTER_IMAGES_FILE: images({ 'local/demo': 'demo', 'local/none': 'demo' }),
      MUSTER_IMAGES_VERSION: '3.0.0',
    }
    const known = async () => (await all()).map(({ version }) => version)
    await daemon.signal('SIGKILL')
    await daemon.start('ready', file)
    await eventually(async () => (await known())[0] === '3.0.0', { what: 'the roll-out of the file' })
    expect(daemon.output).toContain('MUSTER_IMAGES_FILE names a region that does not exist')
    const [{ id }] = (await all()) as [ShownRollout]
    await muster('rollout', 'rollback', id)
    await daemon.signal('SIGKILL')
    await daemon.start('ready', file)
    // What comes after it in the same start: its region is decided.
    await daemon.setRegion({ target_free_agents: 5 })
    await daemon.untilFree(5)
    expect(await known()).toHaveLength(before + 1)
    const faulty = await runMuster(['check-config'], {
      ...(await daemon.environment()),
      MUSTER_IMAGES_FILE: images([]),
      MUSTER_IMAGES_VERSION: '3.0.0',
    })
    expect([faulty.code, faulty.stderr]).toEqual([1, expect.stringContaining('the images file')])
  })
})
