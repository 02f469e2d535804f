/**
 * Tells the story of one fault schedule, as the tests print it:
 * node test/support/fault-schedule-program.ts SEED ['CALL FAULT,CALL FAULT,…']
 */
import { runSchedule } from './simulated-fleet.ts'

const [seed = '1', focus] = process.argv.slice(2)
const {
  story,
  hits: _,
  ...outcome
} = await runSchedule(Number(seed), {
  keepsStory: true,
  ...(focus === undefined ? {} : { focus: focus.split(',') }),
})
console.log([...story, JSON.stringify(outcome)].join('\n'))
