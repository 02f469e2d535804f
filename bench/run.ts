/**
 * `make bench`: measures what claims speed, each beside its baseline in the same run. Figures are ratios, since only
 * those mean the same on another machine.
 */
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'

import { Argument, Command } from 'commander'

import { startPostgres } from '../test/support/postgres.ts'
import { assign } from './assign.ts'
import { endpoint } from './endpoint.ts'
import { latency } from './latency.ts'
import { launch } from './launch.ts'
import { listing } from './listing.ts'
import { live } from './live.ts'
import { plan } from './plan.ts'
import type { Benchmark } from './support/benchmark.ts'
import { administer } from './support/database.ts'
import { figuresJson, machineText, machineWith, tableText } from './support/report.ts'
import { trust } from './trust.ts'

const benchmarks: readonly Benchmark[] = [latency, launch, assign, plan, live, endpoint, trust, listing]

const program = new Command('node bench/run.ts')
  .description('Measure what claims speed, each beside its baseline in the same run')
  .addArgument(new Argument('[name...]', 'which').choices(benchmarks.map(({ name }) => name)))
  .option('--json', 'print JSON instead of tables')
  .option('--profile <dir>', 'let the daemons write CPU profiles into this folder')
  .addHelpText(
    'after',
    `\n${benchmarks.map(({ name, about }) => `  ${name.padEnd(8)} ${about}`).join('\n')}\n`,
  )
  .parse()
const names = program.args
const { json = false, profile } = program.opts<{ json?: boolean; profile?: string }>()

const profileDir = profile === undefined ? undefined : resolve(profile)
if (profileDir !== undefined) mkdirSync(profileDir, { recursive: true })
const print = (text: string): void => void process.stdout.write(`${text}\n`)
const chosen = benchmarks.filter(({ name }) => names.length === 0 || names.includes(name))

// A run that is cut short leaves nothing behind: `exit` ends every process that was started.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
const postgres = await startPostgres()
try {
  const [version] = await administer(postgres.url, 'show server_version')
  const machine = machineWith(String(version?.['server_version']))
  if (!json) print(`${machineText(machine)}\n`)
  const results: Record<string, readonly unknown[]> = {}
  for (const benchmark of chosen) {
    const progress = (line: string): void => void process.stderr.write(`… ${benchmark.name}: ${line}\n`)
    const figures = await benchmark.run({ clusterUrl: postgres.url, profileDir, progress })
    results[benchmark.name] = figuresJson(figures)
    if (!json) print(`${tableText(benchmark, figures)}\n`)
  }
  if (json) print(JSON.stringify({ machine, results }, undefined, 2))
} finally {
  await postgres.close()
}
