/** A TLS server that asks for certificates and does nothing else: what ours is measured against. */
import { once } from 'node:events'
import { createServer } from 'node:tls'
import type { AddressInfo } from 'node:net'

import { managersServerName } from '../../src/trust/issue.ts'
import { openAuthority } from '../../src/trust/open-authority.ts'
import type { AuthorityFiles } from '../../src/trust/make-authority.ts'
import { caPassphrase } from '../../test/support/an-authority.ts'
import { serve } from '../support/programs.ts'

serve({
  /** Gives its port. */
  start: async ({ files, fleetId }: { readonly files: AuthorityFiles; readonly fleetId: string }) => {
    const now = Date.now()
    const authority = openAuthority({ ...files, passphrase: caPassphrase }, { now, lifetimeS: 86_400 })
    const { certPem: cert, keyPem: key } = await authority.issueServer({
      names: [managersServerName(fleetId)],
      now,
    })
    const ca = [...authority.trusted]
    const options = {
      cert,
      key,
      ca,
      requestCert: true,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
    } as const
    const server = createServer({ ...options, ca }, (socket) => {
      socket.on('error', () => undefined)
      socket.write('.')
    })
    server.listen(0, '127.0.0.1', 4_096)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  },
  /** Resident bytes. */
  memory: () => Promise.resolve(process.memoryUsage.rss()),
})
