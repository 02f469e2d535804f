/**
 * What a fresh machine is told: a shell script that cloud-init runs once, as root. It learns who the machine is from
 * the instance metadata service, writes the manager's spec (model/manager-spec.ts), installs the manager where the
 * image holds none, and starts it. The only secret in it is the launch's enrolment token, which is worth nothing once it
 * is redeemed.
 *
 * The same bootstrap gives the same bytes, whatever the version of Node or its zlib: a repeated launch must be the same
 * request, and its hash is stored instead of it.
 */
import { createHash } from 'node:crypto'
import { gzipSync, strToU8 } from 'fflate'
import { z } from 'zod'

import { LaunchError } from '../../src/model/host-handler.ts'
import { metadataAddress, metadataDefault } from './options.ts'

/** Everything but the token; stored with the launch. */
export const bootstrapSchema = z.strictObject({
  fleetId: z.string(),
  launchId: z.string(),
  agents: z.int(),
  version: z.string(),
  daemons: z.array(z.string()),
  caPins: z.array(z.string()),
  app: z.string(),
  agentCommand: z.array(z.string()),
  address: z.enum(['private', 'public']),
  /** Left out in requests of an earlier version: those are the same to the byte still. */
  metadataEndpoint: metadataAddress.optional(),
  program: z.array(z.string()),
  archive: z.strictObject({ url: z.string(), sha256: z.string() }).optional(),
})
export type Bootstrap = z.infer<typeof bootstrapSchema>

export interface UserData {
  /** Base64 of the gzipped script. */
  readonly base64: string
  /** SHA-256 of the gzipped script, in hex. The token in it has 256 bits: the hash tells nothing of it. */
  readonly sha256: string
}

/** EC2's own limit, in bytes, before base64. */
export const longestUserData = 16 * 1024

const installDirectory = '/opt/muster'

/** @throws LaunchError `invalid-request` when it would be larger than EC2 takes. */
export function userDataOf(bootstrap: Bootstrap, enrolmentToken: string): UserData {
  const bytes = gzipSync(strToU8(bootScript(bootstrap, enrolmentToken)), { mtime: 0, level: 9 })
  if (bytes.length > longestUserData) {
    throw new LaunchError(
      'invalid-request',
      `user data would be ${bytes.length} bytes, and EC2 takes ${longestUserData}: shorten agent_command`,
    )
  }
  return {
    base64: Buffer.from(bytes).toString('base64'),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }
}

/**
 * The script itself. Two variables are for rehearsals on a machine that is no instance: MUSTER_METADATA, an address
 * that answers as the metadata service, and MUSTER_HOST_DIRECTORY, where the spec goes and the manager runs in the
 * foreground.
 */
export function bootScript(bootstrap: Bootstrap, enrolmentToken: string): string {
  const { archive, program, metadataEndpoint } = bootstrap
  // The manager watches what the script has asked.
  const watched = metadataEndpoint === undefined ? '' : ' -e "s|@METADATA@|${metadata%/latest}|"'
  const [command = '', ...args] = program
  const isBelow = archive !== undefined && !command.startsWith('/')
  const systemdStart = [isBelow ? `${installDirectory}/${command}` : command, ...args].map(systemdWord)
  const shellStart = [`${isBelow ? '"$install"/' : ''}${shellWord(command)}`, ...args.map(shellWord)]
  return [
    '#!/bin/sh',
    `# Makes this machine a host of fleet ${oneLine(bootstrap.fleetId)}: see docs/aws.md of Muster.`,
    'set -eu',
    'umask 077',
    'directory=${MUSTER_HOST_DIRECTORY:-/var/lib/muster}',
    `metadata=\${MUSTER_METADATA:-${metadataEndpoint ?? metadataDefault}}/latest`,
    'fetch() { curl -fsS --retry 10 --retry-connrefused --max-time 10 "$@"; }',
    'session=$(fetch -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 300" "$metadata/api/token")',
    'look() { fetch -H "X-aws-ec2-metadata-token: $session" "$metadata/meta-data/$1"; }',
    'cloud_id=$(look instance-id)',
    `address=$(look ${bootstrap.address === 'public' ? 'public-ipv4' : 'local-ipv4'})`,
    'case "$cloud_id$address" in *[!0-9a-z.-]*) echo "muster: strange metadata" >&2; exit 1;; esac',
    'mkdir -p "$directory"',
    `sed -e "s/@CLOUD_ID@/$cloud_id/" -e "s/@ADDRESS@/$address/"${watched} > "$directory/spec.json.new" <<'MUSTER_SPEC'`,
    specJson(bootstrap, enrolmentToken),
    'MUSTER_SPEC',
    'mv "$directory/spec.json.new" "$directory/spec.json"',
    ...(archive === undefined ? [] : installation(archive)),
    'if [ -z "${MUSTER_HOST_DIRECTORY:-}" ] && [ -d /run/systemd/system ]; then',
    ...systemdUnit(systemdStart.join(' ')),
    'fi',
    `exec ${shellStart.join(' ')} manager --dir "$directory"`,
    '',
  ].join('\n')
}

/** On one line, so that no value can end the here-document; sed puts in what the script learns, once, at the front. */
function specJson(bootstrap: Bootstrap, enrolmentToken: string): string {
  const { fleetId, launchId, agents, version, daemons, caPins, app, agentCommand, metadataEndpoint } =
    bootstrap
  const rest = JSON.stringify({
    fleetId,
    launchId,
    enrolmentToken,
    caPins,
    agents,
    version,
    daemons,
    app,
    agentCommand,
  })
  const watched = metadataEndpoint === undefined ? '' : '"metadataEndpoint":"@METADATA@",'
  return `{"cloudId":"@CLOUD_ID@","address":"@ADDRESS@",${watched}${rest.slice(1)}`
}

/** The archive's hash is what makes it trusted, wherever it came from. */
function installation({ url, sha256 }: NonNullable<Bootstrap['archive']>): readonly string[] {
  return [
    `install=\${MUSTER_HOST_DIRECTORY:+$MUSTER_HOST_DIRECTORY/install}; install=\${install:-${installDirectory}}`,
    `curl -fsSL --retry 10 --retry-connrefused --max-time 300 -o "$directory/manager.tar.gz" ${shellWord(url)}`,
    `echo ${shellWord(`${sha256}  `)}"$directory/manager.tar.gz" | sha256sum -c - >/dev/null`,
    'mkdir -p "$install"',
    'tar -xzf "$directory/manager.tar.gz" -C "$install"',
    'rm "$directory/manager.tar.gz"',
  ]
}

/** Ends the script: the manager outlives it, and comes back when it fails. */
function systemdUnit(start: string): readonly string[] {
  return [
    `cat > /etc/systemd/system/muster-manager.service <<'MUSTER_UNIT'`,
    '[Unit]',
    'Description=Muster manager',
    'After=network-online.target',
    'Wants=network-online.target',
    '[Service]',
    `ExecStart=/usr/bin/env ${start} manager --dir /var/lib/muster`,
    'Restart=on-failure',
    'RestartSec=2',
    '[Install]',
    'WantedBy=multi-user.target',
    'MUSTER_UNIT',
    'systemctl daemon-reload',
    'systemctl enable --now muster-manager.service',
    'exit 0',
  ]
}

function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** Of a unit file: quoted, with its three kinds of specifiers escaped. */
function systemdWord(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')
  return `"${oneLine(escaped).replaceAll('$', '$$$$')}"`
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ')
}
