import fc from 'fast-check'
import { expect, it } from 'vitest'

import {
  interruptionLine,
  lineSplitter,
  parseAgentLine,
  sessionLine,
} from '../../../src/manager/agent-lines.ts'

it('understands the words of an agent, and takes anything else for its own output', () => {
  expect(parseAgentLine('{"type":"listening","port":4000}')).toEqual({ type: 'listening', port: 4000 })
  expect(parseAgentLine('{"type":"connected","at":"a later version"}')).toEqual({ type: 'connected' })
  const noise = ['hello', '', '{', '{"type":"listening","port":0}', '{"type":"listening"}', '[1]', 'null']
  for (const line of noise) expect(parseAgentLine(line)).toBeUndefined()
})

it('says a session in one line, whatever the user is called', () => {
  const line = sessionLine({ sessionId: 's1', userId: 'a\nb' })
  expect(line.indexOf('\n')).toBe(line.length - 1)
  expect(JSON.parse(line)).toEqual({ type: 'session', session_id: 's1', user_id: 'a\nb' })
})

it('cuts lines wherever the chunks are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string().map((text) => text.replaceAll(/\s/g, '_'))),
      fc.array(fc.nat(20)),
      (lines, cuts) => {
        const heard: string[] = []
        const split = lineSplitter((line) => heard.push(line))
        let rest = lines.map((line) => `${line}\n`).join('')
        for (const cut of cuts) {
          split(rest.slice(0, cut))
          rest = rest.slice(cut)
        }
        split(rest)
        expect(heard).toEqual(lines)
      },
    ),
  )
})

it('tells an agent when its machine ends', () => {
  expect(interruptionLine(Date.UTC(2026, 10, 21, 12))).toBe(
    '{"type":"interruption","at":"2026-11-21T12:00:00.000Z"}\n',
  )
})

it('drops lines that are too long, and hears the next one', () => {
  const heard: string[] = []
  const split = lineSplitter((line) => heard.push(line), 10)
  for (const chunk of [
    'x'.repeat(8),
    'x'.repeat(8),
    'x'.repeat(8),
    'x\nshort\n',
    `${'y'.repeat(30)}\nlast\n`,
  ]) {
    split(chunk)
  }
  expect(heard).toEqual(['short', 'last'])
})
