// Saves, restores and looks up as actions/cache does; tests/support/src/actions_cache.rs starts it.
//
//   node cache.mjs save KEY PATH…            the entry's number, or -1
//   node cache.mjs restore KEYS PATH…        the matched key, or null; KEYS are one a line, the primary first
//   node cache.mjs lookup KEYS PATH…         the same without a download
//   node cache.mjs versions                  of the path sets on standard input, by platform
//
// The last line of standard output is the answer as JSON.
import { readFileSync } from 'node:fs'
import * as cache from '@actions/cache'
// The package exports no versions; the file is what its own code uses.
import { getCacheVersion } from './node_modules/@actions/cache/lib/internal/cacheUtils.js'

const [command, keys, ...paths] = process.argv.slice(2)
const [primary, ...restoreKeys] = (keys ?? '').split('\n')
const crossOs = true

/** The versions of one list of paths, under the rules of every platform. */
function versions(paths) {
  const platform = Object.getOwnPropertyDescriptor(process, 'platform')
  try {
    return ['linux', 'darwin', 'win32'].map(name => {
      Object.defineProperty(process, 'platform', { ...platform, value: name })
      return getCacheVersion(paths, 'zstd-without-long', crossOs)
    })
  } finally {
    Object.defineProperty(process, 'platform', platform)
  }
}

async function answer() {
  switch (command) {
    case 'save':
      return cache.saveCache(paths, primary, undefined, crossOs)
    case 'restore':
      return cache.restoreCache(paths, primary, restoreKeys, undefined, crossOs)
    case 'lookup':
      return cache.restoreCache(paths, primary, restoreKeys, { lookupOnly: true }, crossOs)
    case 'versions':
      return JSON.parse(readFileSync(0, 'utf8')).map(versions)
    default:
      throw new Error(`unknown command: ${command}`)
  }
}

console.log(JSON.stringify((await answer()) ?? null))
