import { z } from 'zod'

import type { Session } from './agent-life.ts'

/**
 * The words between a manager and an agent's process: JSON, one object a line, on the process's standard input and
 * output, which any language can do. docs/agents.md is the same for people who write agents.
 */
const sessionId = z.string().min(1).max(200)

const agentLine = z.discriminatedUnion('type', [
  z.object({ type: z.literal('listening'), port: z.int().min(1).max(65_535) }),
  z.object({ type: z.literal('session-taken'), session_id: sessionId }),
  z.object({ type: z.literal('session-refused'), session_id: sessionId, error: z.string().max(2000) }),
  z.object({ type: z.literal('connected') }),
  z.object({ type: z.literal('ended') }),
])
export type AgentLine = z.infer<typeof agentLine>

/** undefined for any other output: an agent may print what it likes. Unknown keys are for later versions. */
export function parseAgentLine(line: string): AgentLine | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return agentLine.safeParse(JSON.parse(line)).data
  } catch {
    return undefined
  }
}

export function sessionLine(session: Session): string {
  return `${JSON.stringify({ type: 'session', session_id: session.sessionId, user_id: session.userId })}\n`
}

/** `at`: milliseconds since the epoch. */
export function interruptionLine(at: number): string {
  return `${JSON.stringify({ type: 'interruption', at: new Date(at).toISOString() })}\n`
}

export const drainingLine = `${JSON.stringify({ type: 'draining' })}\n`

/**
 * Cuts chunks into lines. What is longer than `longest` characters is no word of ours and is dropped, so that an agent
 * that prints without end costs no memory.
 */
export function lineSplitter(onLine: (line: string) => void, longest = 65_536): (chunk: string) => void {
  let rest = ''
  let isTooLong = false
  return (chunk) => {
    const parts = (rest + chunk).split('\n')
    rest = parts.pop() ?? ''
    for (const line of parts) {
      if (!isTooLong && line.length <= longest) onLine(line.trimEnd())
      isTooLong = false
    }
    if (rest.length > longest) {
      rest = ''
      isTooLong = true
    }
  }
}
