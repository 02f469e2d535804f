/** Each step in turn, whatever the one before came to, but never longer than `ms` in all. */
export async function withinDeadline(ms: number, steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const expiry = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => expiry.resolve(undefined), ms)
  for (const step of steps) {
    await Promise.race([step().catch(() => undefined), expiry.promise])
  }
  clearTimeout(timer)
}
