import type { Command } from 'commander'

import { parseOption, parseShare } from './arguments.ts'
import type { StartOptions } from './rollout.ts'
import type { StatusOptions } from './rollout-status.ts'

/** `muster rollout …` */
export function addRolloutCommands(program: Command): void {
  const load = () => import('./rollout.ts')
  const group = program.command('rollout').description('lead regions to a new image, watch, and steer')
  group
    .command('start')
    .description('lead each region of a file to its image; several regions are switched together')
    .requiredOption('--images <file>', 'JSON: a map of regions to images, or {"version": …, "images": {…}}')
    .option('--version <version>', 'what the images serve, unless the file says it')
    .option(
      '--canary <share>',
      'part of the requests without a version that the new image gets first, 0 to 1',
      parseShare,
    )
    .option(
      '--option <key=value...>',
      'what it is to be like, as in bake_s=1200 (docs/rollouts.md)',
      parseOption,
    )
    .option('--no-group', 'each region is switched by itself')
    .option('--watch', 'follow it to its end: exit code 0 once done, 3 once rolled back')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      example(
        'echo \'{"aws/us-east-1": "ami-1", "aws/eu-west-1": "ami-2"}\' > images.json',
        'npx muster rollout start --version 2.0.0 --images images.json --canary 0.1 --watch',
        'npx muster rollout start --images release.json --option switch=ready --option bake_s=1200',
      ),
    )
    .action(async (options: StartOptions) => {
      process.exitCode = await (await load()).startRollout(options)
    })
  group
    .command('status', { isDefault: true })
    .description('print roll-outs, newest first, or one with all that is known of it')
    .argument('[id]', 'a roll-out’s id')
    .option('--region <region>', 'of this region only')
    .option('--watch', 'follow what is not over to its end: exit code 0 once done, 3 once rolled back')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      example(
        'npx muster rollout status',
        'npx muster rollout status --watch',
        'npx muster rollout status 6f1c… --json',
      ),
    )
    .action(async (id: string | undefined, options: StatusOptions) => {
      process.exitCode = await (await import('./rollout-status.ts')).rolloutStatus(id, options)
    })
  for (const [wish, description] of [
    ['pause', 'hold it where it is: no step forward, and its deadlines wait'],
    ['resume', 'let it go on'],
    [
      'switch',
      'switch it, and all of its group, as soon as their buffers are full, whatever their clients have',
    ],
    ['rollback', 'lead it back: before its bake ends the old buffer is still there'],
  ] as const) {
    group
      .command(wish)
      .description(description)
      .argument('<id>', 'the roll-out’s id; `npx muster rollout status` prints it')
      .addHelpText('after', example(`npx muster rollout ${wish} 6f1c…`))
      .action(async (id: string) => (await load()).steerRollout(id, wish))
  }
}

function example(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`
}
