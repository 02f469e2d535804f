/**
 * Programs in processes of their own: load must not come from the process that is measured, nor from the one that
 * measures. A program answers calls over IPC, and ends with whoever started it.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

interface Call {
  readonly call: number
  readonly name: string
  readonly input: unknown
}
type Reply = { readonly call: number } & ({ readonly output: unknown } | { readonly error: string })

export interface Program {
  call<Output>(name: string, input?: unknown): Promise<Output>
  stop(): Promise<void>
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * Ends the child with this process, however it ends; and this process with the child, since who waits for a process
 * that has died would wait for ever. `lastWords` are printed then. Gives what ends the child in good order.
 */
export function keepTrackOf(child: ChildProcess, name: string, lastWords = (): string => ''): Stop {
  let isExpected = false
  running.add(child)
  child.once('exit', (code, signal) => {
    running.delete(child)
    if (isExpected) return
    process.stderr.write(`${name} ended by itself (${code ?? signal ?? 'unknown'})\n${lastWords()}\n`)
    process.exit(1)
  })
  return async (signal) => {
    isExpected = true
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
}

type Stop = (signal: NodeJS.Signals) => Promise<void>

export async function startProgram(path: string): Promise<Program> {
  const child = fork(path, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const stop = keepTrackOf(child, path)
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let calls = 0
  child.on('message', (reply: Reply) => {
    const caller = waiting.get(reply.call)
    waiting.delete(reply.call)
    if ('error' in reply) caller?.reject(new Error(reply.error))
    else caller?.resolve(reply.output)
  })
  await once(child, 'spawn')
  return {
    call: <Output>(name: string, input?: unknown) => {
      const caller = Promise.withResolvers<unknown>()
      calls += 1
      waiting.set(calls, caller)
      child.send({ call: calls, name, input } satisfies Call)
      return caller.promise as Promise<Output>
    },
    stop: () => stop('SIGKILL'),
  }
}

/** The program's side: what it can be asked. */
export function serve(calls: Readonly<Record<string, (input: never) => Promise<unknown>>>): void {
  process.on('message', ({ call, name, input }: Call) => {
    const reply = (answer: Reply): void => void process.send?.(answer)
    const handler = calls[name]
    if (handler === undefined) {
      reply({ call, error: `no such call: ${name}` })
      return
    }
    handler(input as never).then(
      (output) => reply({ call, output }),
      (error: unknown) =>
        reply({ call, error: error instanceof Error ? String(error.stack) : String(error) }),
    )
  })
  process.on('disconnect', () => process.exit())
}
