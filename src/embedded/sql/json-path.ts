import { HasuraError } from '../execution/hasura-error.ts'

const step = /\.?([_A-Za-z][^.[\]]*|\d+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|\['((?:[^'\\]|\\.)*)'\]/gy

/** `$.a.b[0]["c d"]` as the keys that it names. @throws HasuraError `parse-failed` at `path` */
export function jsonPath(text: string, path: string): readonly string[] {
  const keys: string[] = []
  let at = text.startsWith('$') ? 1 : 0
  while (at < text.length) {
    step.lastIndex = at
    const match = step.exec(text)
    if (match === null) throw new HasuraError('parse-failed', `parse json path error: ${text}`, path)
    keys.push(match[1] ?? match[2] ?? unescape(match[3] ?? match[4] ?? ''))
    at = step.lastIndex
  }
  return keys
}

const unescape = (text: string): string => text.replaceAll(/\\(.)/g, '$1')
