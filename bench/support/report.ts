import { availableParallelism, cpus } from 'node:os'

import type { Aim, Benchmark, Figure } from './benchmark.ts'
import { isMet, ratioOf } from './benchmark.ts'

export interface Machine {
  readonly cores: number
  readonly cpu: string
  readonly node: string
  readonly postgres: string
}

export function machineWith(postgres: string): Machine {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    postgres,
  }
}

export function machineText({ cores, cpu, node, postgres }: Machine): string {
  return `${cores} cores (${cpu}), Node ${node}, PostgreSQL ${postgres}`
}

/** A small table for people. */
export function tableText({ name, about }: Benchmark, figures: readonly Figure[]): string {
  const head = ['', 'measured', 'baseline', 'ratio', 'aim', '']
  const rows = figures.map((figure) => {
    const { what, unit, measured, baseline, against, aim } = figure
    const ratio = ratioOf(figure)
    const met = isMet(figure)
    return [
      what,
      amount(measured, unit),
      baseline === undefined ? '' : amount(baseline, unit) + (against === undefined ? '' : ` (${against})`),
      ratio === undefined ? '' : `${number(ratio)}×`,
      aim === undefined ? '' : aimText(aim, unit),
      met === undefined ? '' : met ? 'met' : 'MISSED',
    ]
  })
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)))
  const lines = [head, ...rows].map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  )
  return [`${name}: ${about}`, ...lines].join('\n')
}

/** The same for programs. */
export function figuresJson(figures: readonly Figure[]): readonly unknown[] {
  return figures.map((figure) => ({ ...figure, ratio: ratioOf(figure), met: isMet(figure) }))
}

function aimText({ of, most, least }: Aim, unit: Figure['unit']): string {
  const suffix = of === 'ratio' || unit === '×' ? '×' : ` ${unit}`
  return most === undefined ? `≥ ${least ?? 0}${suffix}` : `≤ ${most}${suffix}`
}

function amount(value: number, unit: Figure['unit']): string {
  return unit === '/s' ? `${Math.round(value)}/s` : `${number(value)}${unit === '×' ? '×' : ` ${unit}`}`
}

function number(value: number): string {
  if (value < 1) return value.toFixed(4)
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
