/**
 * `fetch` as a GraphQL client needs it (a POST with a text, an answer read whole) over node:http and connections that
 * are kept. Node's own fetch wraps both bodies in web streams, which costs more than a small query does: see
 * docs/benchmarks.md.
 */
import http from 'node:http'
import https from 'node:https'

const agentOptions: http.AgentOptions = { keepAlive: true, scheduling: 'lifo' }

/** One pool of connections for all calls. Answers are given with their text already there. */
export function createKeepAliveFetch(): typeof fetch {
  const plain = new http.Agent(agentOptions)
  const secure = new https.Agent(agentOptions)
  return (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const isSecure = url.protocol === 'https:'
    const body = typeof init.body === 'string' ? init.body : ''
    const options: http.RequestOptions = {
      method: init.method ?? 'POST',
      agent: isSecure ? secure : plain,
      headers: {
        ...Object.fromEntries(new Headers(init.headers)),
        'content-length': Buffer.byteLength(body),
      },
      ...(init.signal && { signal: init.signal }),
    }
    return new Promise((resolve, reject) => {
      const request = (isSecure ? https : http).request(url, options, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve(toResponse(response, Buffer.concat(chunks).toString('utf8'))))
        response.on('error', reject)
      })
      request.on('error', reject)
      request.end(body)
    })
  }
}

function toResponse({ statusCode = 502, headers }: http.IncomingMessage, text: string): Response {
  const type = headers['content-type']
  return new Response(statusCode === 204 || statusCode === 304 ? null : text, {
    status: statusCode,
    ...(type !== undefined && { headers: { 'content-type': type } }),
  })
}
