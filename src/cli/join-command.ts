import type { Command } from 'commander'
import { Option } from 'commander'

import { parseCount } from './arguments.ts'
import type { JoinOptions } from './join.ts'

/** `muster join` */
export function addJoinCommand(program: Command): void {
  program
    .command('join')
    .description('run the manager of a machine that nobody launched')
    .requiredOption('--daemon <address...>', 'host:port or wss://host/v1/managers of each daemon')
    .requiredOption('--fleet <id>', 'the fleet’s id')
    .option('--pin <pin...>', 'sha256/… of the fleet’s root key: who the daemon must be')
    .addOption(
      new Option('--token-file <file>', 'file (mode 600) with an enrolment token').conflicts(
        'certificateDir',
      ),
    )
    .option('--certificate-dir <dir>', 'instead: folder with ca.pem, cert.pem and key.pem (mode 600)')
    .requiredOption('--dir <dir>', 'folder of this machine’s own, kept between starts')
    .option('--agents <n>', 'agents that it keeps', parseCount, 1)
    .option('--address <address>', 'where users reach the agents (default: this machine’s name)')
    .option('--app <name>', 'what the agents are, as the database names them')
    .option('--measurement-file <file>', 'what the SEV tool wrote (default: backend_info.json in --dir)')
    .argument(
      '[agent-command...]',
      'program and arguments of an agent, after -- (default: examples/hello-agent)',
    )
    .addHelpText(
      'after',
      '\nnpx muster backends token ID prints a token, with the fleet, pins and daemons to name here.',
    )
    .action(async (agentCommand: string[], options: JoinOptions) => {
      process.exitCode = await (await import('./join.ts')).join(options, agentCommand)
    })
}
