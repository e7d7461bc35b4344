// Graphile Worker does known work: see events.py. The schema's name is the environment's SCHEMA.
import { makeWorkerUtils, run } from 'graphile-worker'
import { began, ran, say } from '../events.mjs'

const [dsn, stage] = process.argv.slice(2)
const schema = process.env.SCHEMA ?? 'graphile_worker'
const options = { connectionString: dsn, schema }
const utils = await makeWorkerUtils(options)
await utils.migrate()
if (stage === 'work') {
  for (let i = 0; i < 4; i++) await utils.addJob('add', { i })
  await utils.addJob('boom', {}, { maxAttempts: 1 })
  await utils.addJob('flaky', {}, { maxAttempts: 5 })
  await utils.addJob('long', {}, { queueName: 'slow' })
  await utils.addJob('add', { later: true }, { runAt: new Date(Date.now() + 3600e3), jobKey: 'later' })
}
await utils.release()
if (stage === 'install') process.exit(0)
const told = (task) => async (payload, { job }) => ran(task, 'success', job.id, job.attempts - 1)
await run({
  ...options,
  concurrency: 3,
  noHandleSignals: true,
  pollInterval: 500,
  crontab: '* * * * * tick',
  taskList: {
    add: async (payload, helpers) => {
      // Long enough to be seen at work: its type's counters are told from then on, and it leaves nothing else behind.
      if (payload.later) await new Promise((resolve) => setTimeout(resolve, 5_000))
      return told('add')(payload, helpers)
    },
    tick: told('tick'),
    boom: async (payload, { job }) => {
      ran('boom', 'failed', job.id, job.attempts - 1)
      throw new Error('boom')
    },
    flaky: async (payload, { job }) => {
      const failed = job.attempts < 3
      ran('flaky', failed ? 'failed' : 'success', job.id, job.attempts - 1)
      if (failed) throw new Error('flaky ' + job.attempts)
    },
    long: async (payload, { job }) => {
      began('long', job.id)
      await new Promise((resolve) => setTimeout(resolve, 600_000))
    }
  }
})
say({ working: true })
