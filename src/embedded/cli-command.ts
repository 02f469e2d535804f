/** What `npx muster graphql` does: any Hasura project directory, served until told to stop. */
import type { EmbeddedEndpoint, EmbeddedOptions } from './endpoint.ts'
import { startEmbedded } from './endpoint.ts'

/** Ends when the signal is aborted, with everything closed. `ready` is called once it serves. */
export async function serveProject(
  options: EmbeddedOptions,
  signal: AbortSignal,
  ready: (endpoint: EmbeddedEndpoint) => void = () => undefined,
): Promise<void> {
  const endpoint = await startEmbedded({ ...options, signal })
  try {
    ready(endpoint)
    if (!signal.aborted) {
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  } finally {
    await endpoint.stop()
  }
}
