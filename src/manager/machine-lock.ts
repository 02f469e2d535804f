import { createHash } from 'node:crypto'
import { realpath } from 'node:fs/promises'
import { createServer } from 'node:net'

/**
 * A machine that joined by itself starts its manager again and again in one directory: one at a time. The kernel knows
 * the lock as an abstract socket's name, and forgets it with the process, however that ends.
 * @returns a function that gives it back; undefined when another manager has it
 */
export async function lockMachine(directory: string): Promise<(() => void) | undefined> {
  const name = createHash('sha256')
    .update(await realpath(directory))
    .digest('hex')
  const server = createServer((socket) => socket.destroy())
  const isOurs = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else reject(error)
    })
    server.listen(`\0muster-${name}`, () => resolve(true))
  })
  server.unref()
  return isOurs ? () => void server.close() : undefined
}
