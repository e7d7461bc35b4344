// pg-boss does known work: see events.py. The schema's name is the environment's SCHEMA.
import * as module from 'pg-boss'
import { began, ran, say } from '../events.mjs'

const [dsn, stage] = process.argv.slice(2)
const PgBoss = module.PgBoss ?? module.default
const boss = new PgBoss({
  connectionString: dsn,
  schema: process.env.SCHEMA ?? 'pgboss',
  superviseIntervalSeconds: 2,
  maintenanceIntervalSeconds: 2,
  cronMonitorIntervalSeconds: 5,
  cronWorkerIntervalSeconds: 2
})
boss.on('error', (error) => say({ error: error.message }))
await boss.start()
if (stage === 'install') {
  for (const queue of ['dead', 'add', 'boom', 'flaky', 'long', 'late', 'tick']) {
    await boss.createQueue(queue, queue === 'boom' ? { deadLetter: 'dead' } : {})
  }
  await boss.createQueue('parted', { partition: true })
  process.exit(0)
}
if (stage === 'work') {
  for (let i = 0; i < 4; i++) await boss.send('add', { i })
  await boss.send('parted', {})
  await boss.send('boom', {}, { retryLimit: 0 })
  await boss.send('flaky', {}, { retryLimit: 5, retryDelay: 1 })
  await boss.send('late', {}, { expireInSeconds: 2, retryLimit: 0 })
  await boss.send('long', {}, { expireInSeconds: 3600 })
  await boss.send('add', {}, { startAfter: 3600 })
  await boss.cancel('add', await boss.send('add', {}, { startAfter: 7200 }))
  await boss.schedule('tick', '* * * * *', {})
}
const options = { pollingIntervalSeconds: 0.5 }
let runs = 0
for (const queue of ['add', 'parted', 'tick']) {
  await boss.work(queue, options, async ([job]) => ran(queue, 'success', job.id))
}
await boss.work('boom', options, async ([job]) => {
  ran('boom', 'failed', job.id)
  throw new Error('boom')
})
await boss.work('flaky', options, async ([job]) => {
  const failed = ++runs < 3
  ran('flaky', failed ? 'failed' : 'success', job.id, runs - 1)
  if (failed) throw new Error('flaky ' + runs)
})
await boss.work('late', options, async ([job]) => {
  ran('late', 'timeout', job.id)
  await new Promise((resolve) => setTimeout(resolve, 600_000))
})
await boss.work('long', options, async ([job]) => {
  began('long', job.id)
  await new Promise((resolve) => setTimeout(resolve, 600_000))
})
say({ working: true })
