// Stands for the steps of actions/cache: its inputs and outputs, on the client that it uses. Credentials come as
// STANDIN_URL and STANDIN_TOKEN: the runner gives them to such actions and to no `run:` step.
//
//   node standin.mjs restore|save            INPUT_* as variables, outputs to GITHUB_OUTPUT
import { appendFileSync } from 'node:fs'

process.env.ACTIONS_CACHE_SERVICE_V2 = 'true'
process.env.ACTIONS_RESULTS_URL = process.env.STANDIN_URL
process.env.ACTIONS_RUNTIME_TOKEN = process.env.STANDIN_TOKEN
const cache = await import('@actions/cache')

const lines = name => (process.env[name] ?? '').split('\n').map(line => line.trim()).filter(line => line)
const paths = lines('INPUT_PATH')
const key = process.env.INPUT_KEY
if (process.argv[2] === 'save') {
  await cache.saveCache(paths, key, undefined, true)
} else {
  const options = { lookupOnly: process.env.INPUT_LOOKUP_ONLY === 'true' }
  const matched = await cache.restoreCache(paths, key, lines('INPUT_RESTORE_KEYS'), options, true)
  const outputs = { 'cache-primary-key': key, 'cache-hit': matched ? `${matched === key}` : '', 'cache-matched-key': matched ?? '' }
  const text = Object.entries(outputs).map(([name, value]) => `${name}<<standin\n${value}\nstandin\n`)
  appendFileSync(process.env.GITHUB_OUTPUT, text.join(''))
}
