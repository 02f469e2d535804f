import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'

import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { drainingLine, interruptionLine, lineSplitter, parseAgentLine, sessionLine } from './agent-lines.ts'
import type { AgentLine } from './agent-lines.ts'
import type { AgentExit } from './agent-life.ts'
import type { AgentEvents, AgentRuntime, RunningAgent } from './agent-runtime.ts'

export interface ProcessRuntimeOptions {
  /** Program and arguments. */
  readonly command: readonly string[]
  /** What the agents inherit; MUSTER_AGENT_ID is added. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Between SIGTERM and SIGKILL, in milliseconds. */
  readonly stopGraceMs: number
  readonly clock: Clock
  readonly log: Logger
}

/** What asks a process to end: an operator, or the provider that stops the machine. */
const endSignals: ReadonlySet<string | null> = new Set(['SIGTERM', 'SIGINT', 'SIGHUP'])

/**
 * An agent is a child process in the manager's own process group, so that the provider can end a host as a whole even
 * when its manager is gone. It outlives a killed manager: a user's session must.
 */
export function processRuntime(options: ProcessRuntimeOptions): AgentRuntime {
  return { start: (agentId, events) => startProcess(options, agentId, events) }
}

function startProcess(options: ProcessRuntimeOptions, agentId: string, events: AgentEvents): RunningAgent {
  const child = spawnAgent(options, agentId)
  if (child instanceof Error) {
    options.clock.after(0, () => events.exited({ clean: false, wasAsked: false, reason: child.message }))
    const nothing = (): void => undefined
    return { startSession: nothing, interrupted: nothing, draining: nothing, stop: nothing }
  }
  let hasExited = false
  let cancelForce: (() => void) | undefined
  const exited = (exit: AgentExit): void => {
    if (hasExited) return
    hasExited = true
    cancelForce?.()
    events.exited(exit)
  }
  child.once('error', (error) => {
    // Also raised when a signal could not be sent, while the process lives on.
    if (child.pid === undefined) exited({ clean: false, wasAsked: false, reason: error.message })
  })
  child.once('exit', (code, signal) => {
    const reason = signal === null ? `exited with code ${code ?? 'unknown'}` : `killed by ${signal}`
    exited({ clean: code === 0, wasAsked: endSignals.has(signal), reason })
  })
  // A process that is just ending breaks its pipe; `exit` tells.
  child.stdin?.on('error', () => undefined)
  child.stdout?.setEncoding('utf8')
  child.stdout?.on(
    'data',
    lineSplitter((line) => {
      const word = parseAgentLine(line)
      if (word === undefined) options.log.debug({ agentId, output: line.slice(0, 2000) }, 'agent output')
      else if (!hasExited) tell(word, events)
    }),
  )
  return {
    startSession: (session) => {
      child.stdin?.write(sessionLine(session))
    },
    interrupted: (at) => {
      child.stdin?.write(interruptionLine(at))
    },
    draining: () => {
      child.stdin?.write(drainingLine)
    },
    stop: () => {
      if (hasExited || cancelForce !== undefined) return
      signalChild(child, 'SIGTERM')
      cancelForce = options.clock.after(options.stopGraceMs, () => signalChild(child, 'SIGKILL'))
    },
  }
}

/** Most failures come as an event; a few, such as too little memory, are thrown. */
function spawnAgent(options: ProcessRuntimeOptions, agentId: string): ChildProcess | Error {
  const [program = '', ...args] = options.command
  try {
    return spawn(program, args, {
      env: { ...options.environment, MUSTER_AGENT_ID: agentId },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function signalChild(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal)
}

function tell(word: AgentLine, events: AgentEvents): void {
  switch (word.type) {
    case 'listening':
      events.listening(word.port)
      break
    case 'session-taken':
      events.sessionTaken(word.session_id)
      break
    case 'session-refused':
      events.sessionRefused(word.session_id, word.error)
      break
    case 'connected':
      events.connected()
      break
    case 'ended':
      events.ended()
      break
  }
}
