/**
 * The command line. Exit codes: 0 ok, 1 failed, 2 usage, 3 a roll-out that was followed was rolled back. Each command's code is loaded when it is called, so that a
 * manager on a small host does not load the daemon.
 */
import { Command, CommanderError, Option } from 'commander'

import { parseCount, parseMs, parsePort, parseSeconds } from './cli/arguments.ts'
import { addBackendCommands } from './cli/backend-commands.ts'
import { addCaCommands } from './cli/ca-commands.ts'
import type { CheckConfigOptions } from './cli/check-config.ts'
import type { GraphqlOptions } from './cli/graphql.ts'
import { addJoinCommand } from './cli/join-command.ts'
import { packageVersion } from './cli/package-version.ts'
import { printError } from './cli/print-error.ts'
import { addRolloutCommands } from './cli/rollout-commands.ts'
import { addSweepCommand } from './cli/sweep-command.ts'
import { MusterError } from './model/errors.ts'

const failed = 1
const usage = 2

/** Runs one command; gives the exit code. */
export async function runCli(argv: readonly string[]): Promise<number> {
  const program = createProgram()
  try {
    await program.parseAsync(argv, { from: 'user' })
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usage
    printError(error)
    return error instanceof MusterError && error.code === 'invalid-request' ? usage : failed
  }
}

function createProgram(): Command {
  const program = new Command('muster')
    .description('Keeps fleets of hosts at the right size, driven by database rows')
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('--help', 'print help')
    // What follows a command is the command's: one of them has a --version of its own.
    .enablePositionalOptions()
    .exitOverride()

  program
    .command('run')
    .description('run the daemon')
    .action(async () => (await import('./cli/run.ts')).run())
  program
    .command('manager')
    .description('run a host’s manager (started by a HostHandler)')
    .requiredOption('--dir <dir>', 'the host’s own folder, with its spec.json')
    .action(async (options: { dir: string }) => {
      process.exitCode = await (await import('./cli/manager.ts')).manager(options.dir)
    })
  addJoinCommand(program)
  program
    .command('graphql')
    .description('serve a Hasura project’s folder with Hasura’s API')
    .requiredOption('--project <dir>', 'folder with metadata/ and migrations/')
    .option('--port <port>', 'port on 127.0.0.1; 0 takes a free one', parsePort, 8080)
    .addOption(new Option('--database <url>', 'PostgreSQL to serve from').conflicts('data'))
    .option('--data <dir>', 'folder of a built-in database (default: ./data/graphql)')
    .addOption(
      new Option('--timing <timing>', 'when subscriptions hear of changes: at once, or by polls each second')
        .choices(['fast', 'hasura'])
        .default('fast'),
    )
    .addOption(
      new Option(
        '--auth-close-code <code>',
        'what closes a socket with a wrong secret; 4400 until Hasura 2.16',
      )
        .choices(['4400', '4403'])
        .default('4403'),
    )
    .action(async (options: GraphqlOptions) => (await import('./cli/graphql.ts')).graphql(options))
  program
    .command('backup')
    .description('write the built-in database into one file, whether or not it is in use')
    .argument('<file>', 'such as muster.tar.gz')
    .option('--force', 'replace the file if it exists')
    .option('--data <dir>', 'folder of a built-in database (default: the daemon’s)')
    .option('--endpoint <url>', 'who serves it, if it is in use (default: the daemon’s GraphQL endpoint)')
    .action(async (file: string, options: { force?: boolean; data?: string; endpoint?: string }) =>
      (await import('./cli/backup.ts')).backup(file, options),
    )
  program
    .command('restore')
    .description('make the built-in database from a backup, where there is none yet')
    .argument('<file>', 'what `muster backup` wrote')
    .option('--data <dir>', 'folder of a built-in database (default: the daemon’s)')
    .action(async (file: string, options: { data?: string }) =>
      (await import('./cli/backup.ts')).restore(file, options),
    )
  program
    .command('token')
    .description('print a bearer token for the HTTP API')
    .requiredOption('--user <user>', 'the token’s subject')
    .addOption(
      new Option('--role <role>', 'what it may read and do beside assign').choices(['viewer', 'operator']),
    )
    .option('--ttl <seconds>', 'how long it is valid', parseSeconds, 3600)
    .action(async (options: { user: string; role?: string; ttl: number }) =>
      (await import('./cli/token.ts')).token(options),
    )
  program
    .command('hosts')
    .description('list hosts')
    .option('--json', 'print JSON')
    .option('--watch', 'print again each second until interrupted')
    .option('--all', 'also those that have ended')
    .action(async (options: { json?: boolean; watch?: boolean; all?: boolean }) =>
      (await import('./cli/hosts.ts')).hosts(options),
    )
  program
    .command('regions')
    .description('list regions: free agents, what keeps each from launching, and what its provider refuses')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => (await import('./cli/regions.ts')).regions(options))
  program
    .command('drain')
    .description('drain a host: no new sessions, ended once its sessions are')
    .argument('<host>', 'the host’s id')
    .action(async (host: string) => (await import('./cli/hosts.ts')).drain(host))
  program
    .command('assign')
    .description('assign a user to an agent')
    .requiredOption('--user <user>', 'the user')
    .requiredOption('--region <region...>', 'regions, nearest first')
    .option('--wait <ms>', 'how long to wait for capacity, in milliseconds', parseMs, 0)
    .option('--version <version>', 'what the user’s client has; whatever is served unless told')
    .action(async (options: { user: string; region: string[]; wait: number; version?: string }) =>
      (await import('./cli/assign.ts')).assign(options),
    )
  program
    .command('explain')
    .description('tell the decisions about a host or region as a story')
    .argument('<target>', 'a host’s, region’s or launch’s id')
    .option('--limit <n>', 'decisions at most', parseCount, 50)
    .action(async (target: string, options: { limit: number }) =>
      (await import('./cli/explain.ts')).explain(target, options.limit),
    )
  addRolloutCommands(program)
  addSweepCommand(program)
  addBackendCommands(program)
  addCaCommands(program)
  program
    .command('check-config')
    .description('check every setting and report all faults at once')
    .option(
      '--live',
      'ask the regions’ providers too, launching nothing: credentials, permissions, network, image, types, and the way home; 1 when a region cannot launch',
    )
    .option('--region <region...>', 'ask for these regions only')
    .option('--json', 'print JSON')
    .action(async (options: CheckConfigOptions) => {
      process.exitCode = await (await import('./cli/check-config.ts')).checkConfig(options)
    })
  program
    .command('stop-hosts')
    .description('end all local hosts on this machine, and the sessions on them')
    .action(async () => (await import('./cli/stop-hosts.ts')).stopHosts())
  for (const command of program.commands) {
    for (const one of [command, ...command.commands]) {
      one.helpOption('--help', 'print help').exitOverride()
      if (one.options.some(({ long }) => long === '--version')) continue
      one.version(packageVersion(), '--version', 'print the version')
    }
  }
  return program
}
