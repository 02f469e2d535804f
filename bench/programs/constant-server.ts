/** The least that HTTP costs: a server of Node that reads a request's body and answers a constant. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { serve } from '../support/programs.ts'

serve({
  /** Gives the URL. */
  start: async (answer: string) => {
    // Its connections rest while others are measured.
    const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
      request.on('data', () => undefined)
      request.on('end', () => {
        response.writeHead(200, {
          'content-type': 'application/json; charset=utf-8',
          'content-length': Buffer.byteLength(answer),
        })
        response.end(answer)
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/graphql`
  },
})
