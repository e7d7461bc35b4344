// What a driver tells the test: see events.py.
export const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')
export const ran = (task, outcome, job, attempt = null) => say({ ran: task, outcome, job: String(job), attempt })
export const began = (task, job) => say({ began: task, job: String(job) })
