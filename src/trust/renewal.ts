/**
 * When a manager asks for its next certificate: at two thirds of the life of this one, a tenth earlier or later, so that
 * hosts that were launched together do not renew together. Times are milliseconds since the epoch; `random` gives 0 to 1.
 */
export function renewAt(notBefore: number, notAfter: number, random: () => number): number {
  return Math.round(notBefore + (notAfter - notBefore) * (2 / 3) * (0.9 + 0.2 * random()))
}
