#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Half of a start is stripping types and compiling: kept for the next start, wherever this folder can be written to.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/muster/compiled'))
const { runCli } = await import('./cli.ts')

process.exitCode = await runCli(process.argv.slice(2))
