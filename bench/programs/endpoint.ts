/** The embedded endpoint alone, over the project that is shipped, in a process of its own. */
import { startEmbedded } from '../../src/embedded/endpoint.ts'
import type { EmbeddedEndpoint } from '../../src/embedded/endpoint.ts'
import { silentLogger } from '../../src/lib/logger.ts'
import { serve } from '../support/programs.ts'

let endpoint: EmbeddedEndpoint | undefined

serve({
  /** Gives the URL. */
  start: async ({ url, adminSecret }: { url: string; adminSecret: string }) => {
    endpoint = await startEmbedded({
      projectDir: `${import.meta.dirname}/../../config/hasura`,
      database: { kind: 'postgres', url },
      port: 0,
      adminSecret,
      logger: silentLogger,
    })
    return endpoint.url
  },
  end: async () => endpoint?.stop(),
})
