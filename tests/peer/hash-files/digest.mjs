// Reads a JSON array of {workspace, patterns, follow} and prints, as its last line, a JSON array of {digest} or
// {error}: what the peer makes of each. The lines before are the peer's own debug talk.
import { readFileSync } from 'node:fs'
import { hashFiles } from '@actions/glob'

const answers = []
for (const { workspace, patterns, follow } of JSON.parse(readFileSync(0, 'utf8'))) {
  // Patterns are rooted at the working directory.
  process.chdir(workspace)
  try {
    answers.push({ digest: await hashFiles(patterns.join('\n'), workspace, { followSymbolicLinks: follow }) })
  } catch (error) {
    answers.push({ error: error.message })
  }
}
process.stdout.write(`\n${JSON.stringify(answers)}\n`)
