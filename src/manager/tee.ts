import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface Tee {
  readonly kind: 'sev' | 'sev-es' | 'sev-snp' | 'tdx' | 'none'
  /** Inside of a protected guest, or on a machine whose KVM can run such guests; null with kind `none`. */
  readonly role: 'guest' | 'host' | null
  /** What the processor says that it could, whether or not it is switched on. */
  readonly flags: readonly string[]
}

const flagsOfInterest = ['sme', 'sev', 'sev_es', 'sev_snp', 'tdx_guest', 'tdx_host_platform']

/** Where to look, the strongest first. A switch is a module's parameter, which must say Y or 1. */
const signs = [
  { kind: 'sev-snp', role: 'guest', device: 'dev/sev-guest' },
  { kind: 'tdx', role: 'guest', device: 'dev/tdx_guest' },
  { kind: 'tdx', role: 'guest', flag: 'tdx_guest' },
  { kind: 'sev-snp', role: 'host', parameter: 'sys/module/kvm_amd/parameters/sev_snp' },
  { kind: 'sev-es', role: 'host', parameter: 'sys/module/kvm_amd/parameters/sev_es' },
  { kind: 'sev', role: 'host', parameter: 'sys/module/kvm_amd/parameters/sev' },
  { kind: 'tdx', role: 'host', parameter: 'sys/module/kvm_intel/parameters/tdx' },
] as const

/** What of a trusted execution environment this kernel shows. It proves nothing: evidence is another matter. */
export async function readTee(root: string, cpuinfo: string): Promise<Tee> {
  const [, flagsLine = ''] = /^flags\s*:(.*)$/m.exec(cpuinfo) ?? []
  const all = new Set(flagsLine.trim().split(/\s+/))
  const flags = flagsOfInterest.filter((flag) => all.has(flag))
  for (const sign of signs) {
    const isThere =
      'device' in sign
        ? await exists(join(root, sign.device))
        : 'flag' in sign
          ? all.has(sign.flag)
          : await isSwitchedOn(join(root, sign.parameter))
    if (isThere) return { kind: sign.kind, role: sign.role, flags }
  }
  return { kind: 'none', role: null, flags }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

async function isSwitchedOn(path: string): Promise<boolean> {
  return /^[Y1]/.test(await readFile(path, 'utf8').catch(() => ''))
}
