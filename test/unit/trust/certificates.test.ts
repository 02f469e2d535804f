import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'

import { beforeAll, describe, expect, it } from 'vitest'

import type { Authority } from '../../../src/trust/authority.ts'
import { managersServerName } from '../../../src/trust/issue.ts'
import type { AuthorityFiles } from '../../../src/trust/make-authority.ts'
import { makeAuthority, rotate } from '../../../src/trust/make-authority.ts'
import { keyPairAndCsr } from '../../../src/trust/new-key.ts'
import { openAuthority } from '../../../src/trust/open-authority.ts'
import { pemBlocks } from '../../../src/trust/pem.ts'
import { pinOf } from '../../../src/trust/public-key.ts'
import { serialOf } from '../../../src/trust/serial.ts'
import { authorityFiles, caPassphrase, newAuthorityFiles } from '../../support/an-authority.ts'
import { openssl } from '../../support/openssl.ts'

const now = Date.now()
const hour = 3_600_000
const host = { fleetId: 'fleet-1', backendId: 'h-1', now }

let authority: Authority
let certificates: string
let keys: string
let other: AuthorityFiles
beforeAll(async () => {
  other = await newAuthorityFiles()
  ;({ certificates, keys } = await authorityFiles())
  authority = open(certificates)
})

function open(chain: string, keyTexts = keys): Authority {
  return openAuthority(
    { certificates: chain, keys: keyTexts, passphrase: caPassphrase },
    { now, lifetimeS: 86_400 },
  )
}

function split(chain = certificates): { issuing: string; root: string } {
  const [issuing, root] = pemBlocks(chain).map(({ pem }) => pem)
  return { issuing: issuing!, root: root! }
}

describe('a host’s certificate', () => {
  it('says what openssl would have it say, and no more', async () => {
    const issued = await authority.issueForHost({ csr: keyPairAndCsr().csrPem, ...host })
    const text = openssl(['x509', '-in', '@cert', '-noout', '-text'], { cert: issued.pem })
    expect(text).toContain('Version: 3 (0x2)')
    expect(text).toContain('Signature Algorithm: ecdsa-with-SHA256')
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/)
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Digital Signature\n/)
    expect(text).toMatch(/Extended Key Usage: \s+TLS Web Client Authentication\n/)
    expect(text).toMatch(/Alternative Name: \s+URI:spiffe:\/\/fleet-1\/host\/h-1\n/)
    const certificate = new X509Certificate(issued.pem)
    expect(serialOf(certificate)).toBe(issued.serial)
    expect(issued.serial).toMatch(/^[4-7][0-9a-f]{31}$/)
    expect(certificate.validFromDate.getTime()).toBe(issued.notBefore)
    expect(certificate.validToDate.getTime()).toBe(issued.notAfter)
    expect(issued.notBefore).toBe(Math.floor((now - 60_000) / 1000) * 1000)
    expect(issued.notAfter).toBe(Math.floor((now + 24 * hour) / 1000) * 1000)
    expect(issued.issuer).toMatch(/^Muster issuing CA [0-9a-f]{12}$/)
  })

  it('is a client’s and no server’s, under the root alone', async () => {
    const { pem, chainPem } = await authority.issueForHost({ csr: keyPairAndCsr().csrPem, ...host })
    const files = { cert: pem, chain: chainPem, root: split().root }
    const verify = (purpose: string) =>
      openssl(
        ['verify', '-purpose', purpose, '-x509_strict', '-CAfile', '@root', '-untrusted', '@chain', '@cert'],
        files,
      )
    expect(verify('sslclient')).toMatch(/OK/)
    expect(() => verify('sslserver')).toThrow(/purpose/)
  })

  it('is of the key in the request, by every name that a key has', async () => {
    const request = keyPairAndCsr()
    const issued = await authority.issueForHost({ csr: request.csrPem, ...host })
    const spki = new X509Certificate(issued.pem).publicKey.export({ type: 'spki', format: 'der' })
    expect(issued.spkiHash).toBe(request.spkiHash)
    const file = { spki }
    expect(openssl(['dgst', '-sha256', '@spki'], file)).toContain(issued.spkiHash)
    expect(Buffer.from(pinOf(spki).slice('sha256/'.length), 'base64url').toString('hex')).toBe(
      issued.spkiHash,
    )
  })

  it('never outlives its issuer, and is not issued once that has ended', async () => {
    const { notAfter } = authority.issuer
    const csr = keyPairAndCsr().csrPem
    const late = await authority.issueForHost({ csr, ...host, now: notAfter - hour })
    expect(late.notAfter).toBe(notAfter)
    await expect(authority.issueForHost({ csr, ...host, now: notAfter })).rejects.toMatchObject({
      code: 'authority-unusable',
    })
  })

  it('names one backend: an id that would name another’s path is refused', async () => {
    const csr = keyPairAndCsr().csrPem
    for (const backendId of ['', '../h-2', 'a/b', '..', 'h 1', 'h%2f1', 'x'.repeat(201)]) {
      await expect(authority.issueForHost({ csr, ...host, backendId })).rejects.toThrow(
        'no certificate can name',
      )
    }
  })

  it('has a serial from the source of chance that it is given, and another each time', async () => {
    const issue = () => authority.issueForHost({ csr: keyPairAndCsr().csrPem, ...host })
    const serials = await Promise.all(Array.from({ length: 20 }, issue))
    expect(new Set(serials.map(({ serial }) => serial)).size).toBe(20)
    const fixed = openAuthority(
      { certificates, keys, passphrase: caPassphrase },
      { now, lifetimeS: 60, random: (count) => Buffer.alloc(count, 0xff) },
    )
    const issued = await fixed.issueForHost({ csr: keyPairAndCsr().csrPem, ...host })
    expect(issued.serial).toBe('7f'.padEnd(32, 'f'))
    expect(serialOf({ serialNumber: 'ABC' })).toBe('abc'.padStart(32, '0'))
  })
})

describe('the daemon’s own certificate', () => {
  it('is a server’s by its name, for 7 days, with a key that signs for it', async () => {
    const name = managersServerName('fleet-1')
    const { certPem, keyPem, notAfter } = await authority.issueServer({ names: [name], now })
    const [leaf, ...chain] = pemBlocks(certPem).map(({ pem }) => pem)
    const files = { cert: leaf!, chain: chain.join(''), root: split().root }
    const verify = (...args: string[]) =>
      openssl(['verify', ...args, '-CAfile', '@root', '-untrusted', '@chain', '@cert'], files)
    expect(verify('-purpose', 'sslserver', '-verify_hostname', name)).toMatch(/OK/)
    expect(() => verify('-verify_hostname', 'managers.fleet-2.muster.internal')).toThrow(/mismatch/)
    expect(() => verify('-purpose', 'sslclient')).toThrow(/purpose/)
    expect(notAfter).toBe(Math.floor((now + 7 * 24 * hour) / 1000) * 1000)
    expect(openssl(['pkey', '-in', '@key', '-pubout'], { key: keyPem })).toBe(
      openssl(['x509', '-in', '@cert', '-noout', '-pubkey'], files),
    )
  })
})

describe('the authority’s own certificates', () => {
  it.each([
    ['issuing', 'prime256v1', 'pathlen:0', 365],
    ['root', 'secp384r1', 'pathlen:1', 3650],
  ] as const)('%s: %s, %s, %i days, and good for signing only', (which, curve, pathLength, days) => {
    const pem = split()[which]
    const text = openssl(['x509', '-in', '@cert', '-noout', '-text'], { cert: pem })
    expect(text).toContain(`ASN1 OID: ${curve}`)
    expect(text).toMatch(new RegExp(`Basic Constraints: critical\\s+CA:TRUE, ${pathLength}\n`))
    expect(text).toMatch(/X509v3 Key Usage: critical\s+Certificate Sign, CRL Sign\n/)
    const { validFromDate, validToDate } = new X509Certificate(pem)
    expect(validToDate.getTime() - validFromDate.getTime()).toBe(days * 24 * hour + 60_000)
  })
})

describe('a change of the issuing certificate', () => {
  it('has two trusted issuers under one pin, until the former is retired', async () => {
    const files = await authorityFiles()
    const prepared = await rotate(files, 'prepare', caPassphrase, now)
    const activated = await rotate(prepared, 'activate', caPassphrase, now)
    const retired = await rotate(activated, 'retire', caPassphrase, now)
    const before = open(prepared.certificates, prepared.keys)
    const after = open(activated.certificates, activated.keys)
    const last = open(retired.certificates, retired.keys)
    const csr = keyPairAndCsr().csrPem
    const old = await before.issueForHost({ csr, ...host })
    const young = await after.issueForHost({ csr, ...host })

    expect(before.issuer.name).toBe(authority.issuer.name)
    expect(young.issuer).not.toBe(old.issuer)
    expect(last.issuer.name).toBe(young.issuer)
    for (const one of [before, after, last]) expect(one.pins).toEqual(authority.pins)
    const isTrusted = (one: Authority, pem: string) => one.isIssuerOf(new X509Certificate(pem))
    expect([isTrusted(before, young.pem), isTrusted(after, old.pem)]).toEqual([true, true])
    expect([isTrusted(last, young.pem), isTrusted(last, old.pem)]).toEqual([true, false])

    const trusted = (one: Authority, pem: string) =>
      openssl(['verify', '-purpose', 'sslclient', '-CAfile', '@trusted', '@cert'], {
        trusted: one.trusted.join(''),
        cert: pem,
      })
    expect(trusted(after, old.pem)).toMatch(/OK/)
    expect(trusted(before, young.pem)).toMatch(/OK/)
    expect(() => trusted(last, old.pem)).toThrow(/unable to get/)
  })

  it('has two pins while the root is changed', async () => {
    const files = await authorityFiles()
    const both = split(files.certificates)
    const next = split(other.certificates)
    const changing = open(next.issuing + both.issuing + next.root + both.root, other.keys + files.keys)
    expect(new Set(changing.pins)).toEqual(
      new Set([...authority.pins, ...open(other.certificates, other.keys).pins]),
    )
    expect(changing.pins).toHaveLength(2)
    const issued = await changing.issueForHost({ csr: keyPairAndCsr().csrPem, ...host })
    expect(issued.chainPem).toBe(next.issuing + next.root)
  })

  it('is refused without what it needs', async () => {
    const files = await authorityFiles()
    await expect(rotate({ ...files, rootKey: undefined }, 'prepare', caPassphrase, now)).rejects.toThrow(
      '--root-key',
    )
    const activated = await rotate(
      await rotate(files, 'prepare', caPassphrase, now),
      'activate',
      caPassphrase,
      now,
    )
    for (const one of [files, activated]) {
      await expect(rotate(one, 'activate', caPassphrase, now)).rejects.toThrow('do that first')
    }
    await expect(rotate(files, 'prepare', 'wrong', now)).rejects.toThrow('cannot be decrypted')
    await expect(rotate({ ...files, rootKey: other.rootKey }, 'prepare', caPassphrase, now)).rejects.toThrow(
      'another root',
    )
  })
})

describe('an authority that is brought', () => {
  const faultsOf = (
    change: Partial<{ certificates: string; keys: string; passphrase: string }>,
    at = now,
  ) => {
    try {
      openAuthority({ certificates, keys, passphrase: caPassphrase, ...change }, { now: at, lifetimeS: 60 })
    } catch (error) {
      return (error as { details: readonly string[] }).details
    }
    return []
  }

  it('is said to be wrong in every respect at once', async () => {
    const { issuing, root } = split()
    const leaf = (await authority.issueForHost({ csr: keyPairAndCsr().csrPem, ...host })).pem
    expect(faultsOf({ certificates: '', keys: '' })).toHaveLength(2)
    expect(faultsOf({ passphrase: 'wrong' })[0]).toMatch(/^MUSTER_CA_KEY: cannot be decrypted/)
    expect(faultsOf({ keys: other.keys })[0]).toMatch(/is not the key of the first certificate/)
    expect(faultsOf({ certificates: root + issuing })[0]).toMatch(/the first certificate is a root/)
    expect(faultsOf({ certificates: issuing })[0]).toMatch(/leads to no root/)
    expect(faultsOf({ certificates: issuing + split(other.certificates).root })[0]).toMatch(
      /leads to no root/,
    )
    expect(faultsOf({ certificates: leaf + issuing + root })[0]).toMatch(/is none of an authority/)
    expect(faultsOf({ certificates: issuing.replace('MII', 'AAA') + root })[0]).toMatch(
      /1 of 2 cannot be read/,
    )
    expect(faultsOf({}, now + 366 * 24 * hour)[0]).toMatch(/expired at/)
    expect(faultsOf({}, now - 24 * hour)[0]).toMatch(/is not valid yet/)
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    const plain = privateKey.export({ type: 'pkcs8', format: 'pem' })
    expect(faultsOf({ keys: plain })[0]).toMatch(/not encrypted.*openssl pkcs8/)
  })

  it('may have a key that openssl encrypted, and openssl reads ours', async () => {
    const ours = await makeAuthority(caPassphrase, now)
    const plain = openssl(['pkey', '-in', '@key', '-passin', `pass:${caPassphrase}`], { key: ours.keys })
    const scrypt = openssl(
      ['pkcs8', '-topk8', '-scrypt', '-in', '@key', '-passout', `pass:${caPassphrase}`],
      { key: plain },
    )
    const pbkdf2 = openssl(['pkcs8', '-topk8', '-in', '@key', '-passout', `pass:${caPassphrase}`], {
      key: plain,
    })
    for (const key of [ours.keys, scrypt, pbkdf2]) {
      expect(faultsOf({ certificates: ours.certificates, keys: key })).toEqual([])
    }
    expect(openssl(['asn1parse', '-in', '@key'], { key: ours.keys })).toMatch(
      /:PBES2\n[^]*:scrypt\n[^]*:aes-256-cbc\n/,
    )
  })
})

it('writes a list of 10,000 revoked certificates that openssl takes, in well under a second', async () => {
  const revoked = Array.from({ length: 10_000 }, (_, index) => ({
    serial: randomBytes(16).toString('hex'),
    revokedAt: now - index * 1000,
    reason: index % 2 === 0 ? 'superseded' : 'user',
  }))
  const before = process.cpuUsage()
  const { pem, der } = await authority.crl(revoked, now)
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1000).toBeLessThan(1000)

  const { issuing } = split()
  const text = openssl(['crl', '-in', '@crl', '-CAfile', '@issuing', '-verify', '-noout', '-text'], {
    crl: pem,
    issuing,
  })
  expect(text).toContain('verify OK')
  expect(text.match(/Serial Number: /g)).toHaveLength(10_000)
  expect(text.match(/Superseded/g)).toHaveLength(5_000)
  expect(text).toMatch(/CRL Number: \s+\d+/)
  for (const { serial } of revoked.slice(0, 50)) {
    expect(text).toContain(`Serial Number: ${serial.replace(/^(00)+(?=.)/, '').toUpperCase()}\n`)
  }
  const until = /Next Update: (.*)\n/.exec(text)![1]!
  expect(Date.parse(until)).toBe(Math.floor((now + 24 * hour) / 1000) * 1000)
  expect(openssl(['crl', '-inform', 'DER', '-in', '@crl', '-noout', '-issuer'], { crl: der })).toContain(
    'Muster issuing CA',
  )

  const empty = await authority.crl([], now)
  expect(
    openssl(['crl', '-in', '@crl', '-CAfile', '@issuing', '-noout'], { crl: empty.pem, issuing }),
  ).toContain('verify OK')
})

it('makes openssl refuse what the list names', async () => {
  const [bad, good] = await Promise.all(
    [0, 1].map(() => authority.issueForHost({ csr: keyPairAndCsr().csrPem, ...host })),
  )
  const { pem: crl } = await authority.crl([{ serial: bad!.serial, revokedAt: now }], now)
  const verify = (cert: string) =>
    openssl(['verify', '-crl_check', '-CAfile', '@ca', '-CRLfile', '@crl', '@cert'], {
      ca: certificates,
      crl,
      cert,
    })
  expect(verify(good!.pem)).toMatch(/OK/)
  expect(() => verify(bad!.pem)).toThrow(/certificate revoked/)
})
