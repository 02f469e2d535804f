import { hash } from 'node:crypto'

/** 2^48: as many bits of the hash as a number holds exactly, by whole bytes. */
const range = 2 ** 48

/**
 * Whether a roll-out's canary takes this user in, at a share of 0 to 1: the same answer however often it is asked and by
 * whichever daemon; whom a share takes, a larger one takes too; and who is taken in one roll-out says nothing of the next.
 */
export function isChosen(rolloutId: string, userId: string, share: number): boolean {
  // No text of PostgreSQL holds the separator, so no two pairs are hashed alike.
  return hash('sha256', `${rolloutId}\0${userId}`, 'buffer').readUIntBE(0, 6) / range < share
}
