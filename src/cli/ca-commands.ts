import type { Command } from 'commander'
import { Option } from 'commander'

import type * as Ca from './ca.ts'

/** `muster ca …` */
export function addCaCommands(program: Command): void {
  const load = () => import('./ca.ts')
  const group = program.command('ca').description('the certificate authority of the managers’ connections')
  group
    .command('init')
    .description('make one in a new directory, and print the settings to set')
    .requiredOption('--out <dir>', 'the new directory')
    .action(async (options: { out: string }) => (await load()).initCa(options.out))
  group
    .command('show')
    .description('print its certificates and pins')
    .option('--dir <dir>', 'what `ca init` wrote (default: that of the configuration)')
    .action(async (options: { dir?: string }) => (await load()).showCa(options.dir))
  group
    .command('rotate')
    .description('follow the issuing certificate by the next; those of hosts stay valid until they expire')
    .addOption(
      new Option('--step <step>', 'one step only; prepare and activate unless said').choices([
        'prepare',
        'activate',
        'retire',
      ]),
    )
    .option('--dir <dir>', 'what `ca init` wrote (default: the built-in database’s own)')
    .option('--out <dir>', 'the new directory; required with --dir')
    .option('--root-key <file>', 'root-key.pem, where it is not in --dir')
    .action(async (options: Parameters<typeof Ca.rotateCa>[0]) => (await load()).rotateCa(options))
  group
    .command('crl')
    .description('print the running daemon’s list of revoked certificates, PEM')
    .action(async () => (await load()).printCrl())
}
