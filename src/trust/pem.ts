/** PEM (RFC 7468): DER in base64 between two lines that name it. */

/** One block, with lines of 64 characters and a line end. */
export function toPem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/** The blocks of a text, in order, as they stand; what is between them is passed over. */
export function pemBlocks(text: string): readonly { readonly label: string; readonly pem: string }[] {
  return [...text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g)].map(([pem, label]) => ({
    label: label ?? '',
    pem: `${pem}\n`,
  }))
}

/** The bytes of one block. */
export function pemToDer(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]*-----/g, ''), 'base64')
}
