import fc from 'fast-check'
import { algorithms } from '../../../scaling-algorithms/index.ts'
import { itKeepsTheLaws } from '../../support/laws.ts'

itKeepsTheLaws(algorithms.default, fc.record({ idle_seconds: fc.constantFrom(0, 60, 1800) }))
itKeepsTheLaws(algorithms.fixed, fc.record({ hosts: fc.nat(16) }))
