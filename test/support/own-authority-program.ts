/** Opens the authority below a directory, making it if there is none, and prints its pins: `DIRECTORY PASSPHRASE`. */
import { openOwnAuthority } from '../../src/trust/ca-files.ts'

const [directory = '', passphrase = ''] = process.argv.slice(2)
const { pins } = await openOwnAuthority({ directory, passphrase, now: Date.now(), lifetimeS: 600 })
process.stdout.write(pins.join(' '))
