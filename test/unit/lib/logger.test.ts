import { readdirSync, readFileSync } from 'node:fs'

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { createLogger } from '../../../src/lib/logger.ts'
import { safeFields, safeText } from '../../../src/lib/safe-log.ts'
import { MusterError } from '../../../src/model/errors.ts'

function aLog(secrets: readonly string[] = []) {
  const lines: string[] = []
  const destination = { write: (line: string) => void lines.push(line) }
  return { lines, logger: createLogger({ level: 'trace', pretty: false, secrets, destination }) }
}

describe('a line', () => {
  test('has the fields that are listed, and says of others that they are left out', () => {
    const { lines, logger } = aLog()
    logger.info({ region: 'fake/a', ms: 7, csr: 'x', launch: { hostId: 'h1', key: 'k' } }, 'done')
    expect(JSON.parse(lines[0]!)).toMatchObject({
      ...{ region: 'fake/a', ms: 7, csr: '[left out]', msg: 'done' },
      launch: { hostId: 'h1', key: '[left out]' },
    })
  })

  test('is one line without colours, whatever came in, and not endless', () => {
    const { lines, logger } = aLog()
    const nasty = 'a\r\n{"level":60,"msg":"forged"}\u001b[31m\u001b]0;title\u0007\u2028\u202e\u0000b'
    logger.warn({ reason: nasty, err: new Error(nasty) }, nasty)
    logger.warn({ reason: 'x'.repeat(100_000) })
    expect(lines[0]).toMatch(/^[\x20-\x7e]+\n$/)
    expect(lines[0]).not.toMatch(/\\[rnu]/)
    expect(lines[1]!.length).toBeLessThan(1_200)
  })

  test('has of an error its kind, code, words and place, and nothing that hangs on it', () => {
    const { lines, logger } = aLog()
    const cause = Object.assign(new Error('refused'), { query: 'SECRET', request: { headers: ['SECRET'] } })
    logger.error({ err: new MusterError('database-refused', 'no', { cause, details: ['a fault'] }) })
    expect(JSON.parse(lines[0]!)).toMatchObject({
      err: {
        ...{ type: 'MusterError', code: 'database-refused', message: 'no', details: ['a fault'] },
        stack: expect.arrayContaining([expect.stringMatching(/^at /)]) as string[],
        cause: { type: 'Error', message: 'refused' },
      },
    })
    expect(lines[0]).not.toContain('SECRET')
  })

  test('has no object of a class: a request holds more than its name says', () => {
    class Request {
      readonly url = 'SECRET'
    }
    const fields = { reason: new Request(), host: Buffer.from('SECRET'), at: new Map([['SECRET', 'SECRET']]) }
    expect(safeFields(fields)).toEqual({ reason: '[left out]', host: '[left out]', at: '[left out]' })
  })
})

test('what looks like a secret is taken out of any text', () => {
  for (const secret of [
    'mse1_AAECAwQFBgcICQ-_',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl',
    '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----',
    '-----BEGIN CERTIFICATE REQUEST-----\nMIGHAgEAMBMGByqGSM49',
    'Bearer abc.def',
    'postgres://fleet:hunter2@127.0.0.1/fleet',
    'password=hunter2',
    '{"adminSecret":"hunter2"}',
  ]) {
    const safe = safeText(`it said ${secret} and ended`)
    for (const part of ['AAEC', 'eyJ', 'MIGH', 'abc', 'hunter2']) expect(safe).not.toContain(part)
    expect(safe).toContain('[redacted]')
  }
})

test('a secret that is known is in no line, wherever it stands', () => {
  fc.assert(
    fc.property(
      fc
        .string({ minLength: 8, maxLength: 40, unit: 'grapheme-ascii' })
        .filter((text) => !/^\s|\s$|\s\s/.test(text)),
      fc.constantFrom('message', 'field', 'unlisted', 'error', 'cause', 'name', 'deep', 'format'),
      (secret, where) => {
        const { lines, logger } = aLog([secret])
        const text = `«${secret}»`
        const write = {
          message: () => logger.info(text),
          field: () => logger.info({ reason: text }),
          unlisted: () => logger.info({ thing: text, adminSecret: secret }),
          error: () => logger.error(Object.assign(new Error(text), { secret })),
          cause: () => logger.error({ err: new Error('x', { cause: new Error(text) }) }),
          name: () => logger.info({ [text]: 1 }),
          deep: () => logger.info({ details: [[{ reason: text }]] }),
          format: () => logger.info('it said %s', text),
        }
        write[where]()
        expect(lines).toHaveLength(1)
        // As the line would have it.
        expect(lines[0]).not.toContain(JSON.stringify(text).slice(2, -2))
      },
    ),
  )
})

/** The names in the objects that are handed to a logger: `{name}` and `{name: …}`, not what stands deeper. */
function fieldsLogged(source: string): string[] {
  return source
    .split(/logger(?:\.\w+|\[[^\]]+\])\(\s*\{/)
    .slice(1)
    .flatMap((rest) => {
      let depth = 1
      let fields = ''
      for (const letter of rest) {
        if ('({['.includes(letter)) depth += 1
        if (')}]'.includes(letter)) depth -= 1
        if (depth === 0) break
        if (depth === 1) fields += letter
      }
      return fields.split(',').flatMap((field) => /^\s*(\w+)\s*(?::|$)/.exec(field)?.[1] ?? [])
    })
}

/** Fields with a text that somebody logs must be listed, or the line says less than its author meant. */
test('every field that the sources log is listed, or holds a number', () => {
  const numbers = new Set([
    ...[
      'ms',
      'fence',
      'turn',
      'failures',
      'retryInMs',
      'agents',
      'tables',
      'hosts',
      'alike',
      'connections',
      'backends',
      'count',
      'err',
    ],
  ])
  const files = ['src', 'host-handlers', 'scaling-algorithms'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${folder}/${name}`),
  )
  const used = files.flatMap((file) =>
    fieldsLogged(readFileSync(file, 'utf8')).map((name) => ({ file, name })),
  )
  expect(used.length).toBeGreaterThan(30)
  const unlisted = used.filter(({ name }) => !numbers.has(name) && safeFields({ [name]: 'x' })[name] !== 'x')
  expect(unlisted).toEqual([])
})
