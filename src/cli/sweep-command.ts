import type { Command } from 'commander'
import { Option } from 'commander'

import type { SweepOptions } from './sweep.ts'

/** `muster sweep` */
export function addSweepCommand(program: Command): void {
  program
    .command('sweep')
    .description('compare the providers’ lists with the rows now; print what is found')
    .option('--region <region>', 'this one only')
    .option('--dry-run', 'change nothing')
    .addOption(
      new Option('--confirm', 'let what the blast radius holds back go on, for a while').conflicts('dryRun'),
    )
    .option('--json', 'print JSON')
    .action(async (options: SweepOptions) => (await import('./sweep.ts')).sweep(options))
}
