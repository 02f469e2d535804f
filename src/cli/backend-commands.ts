import type { Command } from 'commander'
import { Option } from 'commander'

import { parseCount, parseOffset, parseSeconds } from './arguments.ts'
import type * as Backends from './backends.ts'

/** `muster backends …` and `muster audit` */
export function addBackendCommands(program: Command): void {
  const load = () => import('./backends.ts')
  const group = program.command('backends').description('the trusted identities of managers')
  group
    .command('list', { isDefault: true })
    .description('list backends, newest first')
    .option('--json', 'print JSON')
    .addOption(new Option('--status <status>').choices(['ENABLED', 'TERMINATING', 'TERMINATED']))
    .option('--name <part>', 'those whose name has this part')
    .option('--limit <n>', 'at most', parseCount, 100)
    .option('--offset <n>', 'skip so many', parseOffset, 0)
    .action(async (options: Parameters<typeof Backends.listBackends>[0]) =>
      (await load()).listBackends(options),
    )
  group
    .command('show')
    .description('print one as JSON: certificates, host, agents')
    .argument('<id>')
    .action(async (id: string) => (await load()).showBackend(id))
  group
    .command('create')
    .description('make one for a machine that joins by itself; prints its id')
    .argument('<name>')
    .option('--description <text>')
    .option('--address <address>', 'where users reach its agents')
    .option('--region <region>', 'region of the provider static in which it serves')
    .action(async (name: string, options: Parameters<typeof Backends.createBackend>[1]) =>
      (await load()).createBackend(name, options),
    )
  group
    .command('update')
    .description('change its name, description or address')
    .argument('<id>')
    .option('--name <name>')
    .option('--description <text>')
    .option('--address <address>')
    .action(async (id: string, options: Parameters<typeof Backends.updateBackend>[1]) =>
      (await load()).updateBackend(id, options),
    )
  group
    .command('token')
    .description('make an enrolment token for it, valid once')
    .argument('<id>')
    .option('--ttl <seconds>', 'how long it is valid, 60 to 86400', parseSeconds, 900)
    .option('--out <file>', 'write it there (mode 0600) instead of printing it')
    .action(async (id: string, options: { ttl: number; out?: string }) =>
      (await load()).createToken(id, options),
    )
  group
    .command('issue')
    .description('issue a certificate: for a CSR, or with a key of the daemon’s making')
    .argument('<id>')
    .option('--csr <file>', 'PEM; the certificate is printed')
    .option('--out <file>', 'zip with ca.pem, cert.pem and key.pem to write')
    .option('--renews <serial>', 'the certificate that it follows')
    .action(async (id: string, options: { csr?: string; out?: string; renews?: string }) =>
      (await load()).issueCertificate(id, options),
    )
  group
    .command('revoke')
    .description('revoke a certificate, and cut off what uses it')
    .argument('<id>')
    .argument('<serial>')
    .action(async (id: string, serial: string) => (await load()).revokeCertificate(id, serial))
  group
    .command('terminate')
    .description('stop its manager and agents; it is refused until it is enabled')
    .argument('<id>')
    .addOption(
      new Option('--agents <what>', 'end their sessions, or wait for them')
        .choices(['kill', 'drain'])
        .default('kill'),
    )
    .action(async (id: string, options: { agents: string }) => (await load()).terminateBackend(id, options))
  group
    .command('enable')
    .description('let a terminated backend connect again')
    .argument('<id>')
    .action(async (id: string) => (await load()).enableBackend(id))
  group
    .command('delete')
    .description('delete it and revoke its certificates')
    .argument('<id>')
    .option('--force', 'although it is connected')
    .action(async (id: string, options: { force?: boolean }) => (await load()).deleteBackend(id, options))
  group
    .command('info')
    .description('print what its manager reports of its platform')
    .argument('<id>')
    .option('--refresh', 'ask the manager first')
    .action(async (id: string, options: { refresh?: boolean }) => (await load()).backendInfo(id, options))
  program
    .command('audit')
    .description('print who did what to backends, newest first')
    .option('--backend <id>', 'of one backend')
    .option('--limit <n>', 'entries at most', parseCount, 100)
    .action(async (options: { backend?: string; limit: number }) => (await load()).audit(options))
}
