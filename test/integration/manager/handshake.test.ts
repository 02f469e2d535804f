import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'

import { handshakeOf } from '../../../src/manager/credentials.ts'
import { managersServerName } from '../../../src/trust/issue.ts'
import { keyPairAndCsr } from '../../../src/trust/new-key.ts'
import { anAuthority, fleetId } from '../../support/fake-trust.ts'

describe('a manager’s handshake', () => {
  it('shows its own certificate alone, and takes a server by the root alone', async () => {
    const authority = await anAuthority()
    const now = Date.now()
    const names = [managersServerName(fleetId)]
    const { certPem, keyPem } = await authority.issueServer({ names, now })
    const { privateKeyPem: key, csrPem: csr } = keyPairAndCsr()
    const { pem, chainPem } = await authority.issueForHost({ csr, fleetId, backendId: 'b1', now })
    const ca = authority.trusted.join('')
    const server = createServer({ cert: certPem, key: keyPem, ca, requestCert: true, minVersion: 'TLSv1.3' })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { port } = server.address() as AddressInfo
      const socket = connect({
        ...handshakeOf({ key, certificate: pem + chainPem, ca }),
        ...{ host: '127.0.0.1', port, servername: names[0] },
      })
      const [taken] = (await once(server, 'secureConnection')) as [TLSSocket]
      expect(taken.authorized).toBe(true)
      expect(taken.getPeerX509Certificate()?.toString()).toBe(pem)
      expect(taken.getPeerX509Certificate()?.issuerCertificate).toBeUndefined()
      taken.destroy()
      await once(socket, 'close')
    } finally {
      server.close()
    }
  })
})
