import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

const helloAgent = fileURLToPath(new URL('../../examples/hello-agent/agent.ts', import.meta.url))

const program = z
  .array(z.string().min(1))
  .min(1)
  .transform((command) => command.map((part) => (/^\.{1,2}\//.test(part) ? resolve(part) : part)))

export const localOptions = z.strictObject({
  /**
   * Program and arguments of an agent; what starts with ./ or ../ counts from the daemon's working directory.
   * Default: examples/hello-agent.
   */
  agent_command: program.default(() => [process.execPath, helloAgent]),
  /**
   * What hosts of an image run instead, by the image's name (`images.image_id`): so a roll-out on one machine brings
   * another program.
   */
  images: z.record(z.string(), program).default({}),
  /** What the agents are, as `agents.app` names it. */
  app: z.string().min(1).max(100).default('hello-agent'),
  /** Where users reach the agents. */
  address: z.string().min(1).default('127.0.0.1'),
  /**
   * To rehearse interruptions: `http://address[:port]` of something that answers as EC2's instance metadata service. Each
   * host asks it below its own name: `<metadata_endpoint>/<cloud_id>/latest/…`.
   */
  metadata_endpoint: z.url({ protocol: /^http$/ }).optional(),
  /** Variables of the daemon's environment that hosts see too, beside PATH and the like. None is a good default. */
  inherit: z.array(z.string().min(1)).default([]),
})
export type LocalOptions = z.infer<typeof localOptions>

/** What every host inherits. The daemon's environment holds secrets, so everything else is named or withheld. */
export const alwaysInherited = [
  'PATH',
  'HOME',
  'USER',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'LOG_LEVEL',
] as const
