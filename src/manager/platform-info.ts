/**
 * What a manager tells of its machine: a JSON document of at most 1 MiB, for people and for whoever checks attestations.
 * It holds nothing of users, and no name of the machine. The SEV tool's measurement file is in it byte for byte, since
 * its 64-bit numbers would not survive a parser that has doubles only.
 */
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { readTee } from './tee.ts'

export interface PlatformInfoOptions {
  /** Absolute. */
  readonly measurementFile: string
  /** Where the machine's `/proc`, `/sys`, `/dev` and `/etc` are: `/`. */
  readonly root: string
}

/** What such tools write has some kilobytes. */
const largestMeasurement = 256 * 1024

/** Never throws: what cannot be read is left out, or null. */
export async function readPlatformInfo({ measurementFile, root }: PlatformInfoOptions): Promise<Buffer> {
  const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8').catch(() => '')
  const cpuinfo = await read('proc/cpuinfo')
  const totalKib = Number(/^MemTotal:\s*(\d+) kB$/m.exec(await read('proc/meminfo'))?.[1] ?? NaN)
  const platform = {
    kernel: (await read('proc/sys/kernel/osrelease')).trim() || null,
    architecture: process.arch,
    os: osOf(await read('etc/os-release')),
    cpu: {
      model: /^model name\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? null,
      count: cpuinfo.match(/^processor\s*:/gm)?.length ?? null,
    },
    memory_bytes: Number.isFinite(totalKib) ? totalKib * 1024 : null,
    tee: await readTee(root, cpuinfo),
  }
  return withMeasurement(JSON.stringify(platform), await readMeasurement(measurementFile))
}

/** Appends to the text of an object, without a look at the numbers of what is appended. */
function withMeasurement(object: string, measurement: Buffer | string | undefined): Buffer {
  if (measurement === undefined) return Buffer.from(object)
  const field = (name: string): string => `${object.slice(0, -1)},${JSON.stringify(name)}:`
  if (typeof measurement === 'string') {
    return Buffer.from(`${field('measurement_error')}${JSON.stringify(measurement)}}`)
  }
  if (!isJson(measurement)) {
    return Buffer.from(`${field('measurement_base64')}"${measurement.toString('base64')}"}`)
  }
  return Buffer.concat([Buffer.from(field('measurement')), measurement, Buffer.from('}')])
}

/** The file's bytes; undefined when there is none; a string says why it is left out. */
async function readMeasurement(path: string): Promise<Buffer | string | undefined> {
  try {
    const file = await open(path)
    try {
      const { size } = await file.stat()
      if (size > largestMeasurement) return `the measurement file is larger than ${largestMeasurement} bytes`
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT' ? undefined : `the measurement file cannot be read: ${code ?? 'unknown'}`
  }
}

/** Parsed for the yes or no only. */
function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
    return true
  } catch {
    return false
  }
}

function osOf(osRelease: string): string | null {
  return /^PRETTY_NAME=(?:"([^"\n]*)"|(.*))$/m.exec(osRelease)?.slice(1).find(Boolean) ?? null
}
