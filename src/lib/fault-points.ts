/** Marks an await at which a crash is rehearsed. */
export type FaultPoint = (name: string) => void

export const noFaults: FaultPoint = () => undefined

/**
 * Fault points by name (`launch.after-call`), or by name and count (`launch.after-call#2`: the second time): reaching
 * one kills this process at once, as a lost machine would. Set by MUSTER_FAULTS, for crash tests.
 */
export function killAt(names: readonly string[]): FaultPoint {
  if (names.length === 0) return noFaults
  const armed = new Set(names.map((name) => (name.includes('#') ? name : `${name}#1`)))
  const reached = new Map<string, number>()
  return (name) => {
    const count = (reached.get(name) ?? 0) + 1
    reached.set(name, count)
    if (armed.has(`${name}#${count}`)) process.kill(process.pid, 'SIGKILL')
  }
}
