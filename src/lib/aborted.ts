/** `signal.aborted`, read anew: a compiler that narrows properties takes an earlier look for the present one. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted
}
