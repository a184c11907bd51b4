// Writes tests/fixtures/unixfs/vectors.tsv: CIDs of a deterministic stream, made by the encoders that the field uses.
//
//     cd tests/peer/unixfs && npm ci && npm run vectors
//
// stream.mjs describes the stream.

import { createFileEncoderStream } from 'ipfs-car'
import * as ipld from '@ipld/unixfs'
import { withMaxChunkSize } from '@ipld/unixfs/file/chunker/fixed'
import { withWidth } from '@ipld/unixfs/file/layout/balanced'
import * as raw from 'multiformats/codecs/raw'
import { importByteStream } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { readFileSync, writeFileSync } from 'node:fs'
import { PERIOD, block } from './stream.mjs'

const KIB = 1024
const MIB = 1024 * KIB

const bytes = block()

// Pieces never line up with chunks. Copies, because encoders may keep what they are given.
function * stream (length) {
  while (length > 0) {
    const piece = bytes.slice(0, Math.min(length, PERIOD))
    length -= piece.length
    yield piece
  }
}

const version = name => JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')).version
const IPFS_CAR = `ipfs-car@${version('ipfs-car')}`
const IMPORTER = `ipfs-unixfs-importer@${version('ipfs-unixfs-importer')}`

// ipfs-car with its own settings, or, for layouts that nobody uses, the same encoder with others.
async function ipfsCar (length, layout) {
  const blob = {
    stream: () => {
      const pieces = stream(length)
      return new ReadableStream({
        pull (controller) {
          const { done, value } = pieces.next()
          if (done) controller.close()
          else controller.enqueue(value)
        }
      })
    }
  }
  const settings = layout && ipld.configure({
    fileChunkEncoder: raw,
    smallFileEncoder: raw,
    chunker: withMaxChunkSize(layout.chunk),
    fileLayout: withWidth(layout.links)
  })
  let root
  for await (const { cid } of createFileEncoderStream(blob, settings)) root = cid
  return root.toString()
}

const nowhere = { put: async cid => cid, get: async () => { throw new Error('nothing is read back') } }

async function importer (length, options) {
  const { cid } = await importByteStream(stream(length), nowhere, options)
  return cid.toString()
}

const byLayout = ({ chunk, links, leaves }) => ({
  cidVersion: leaves === 'raw' ? 1 : 0,
  rawLeaves: leaves === 'raw',
  chunker: fixedSize({ chunkSize: chunk }),
  layout: balanced({ maxChildrenPerNode: links })
})

const V1_2025 = { name: 'unixfs-v1-2025', chunk: MIB, links: 1024, leaves: 'raw' }
const TEST_CID_V1 = { name: 'test-cid-v1', chunk: MIB, links: 174, leaves: 'raw' }
const KUBO_CID_V1 = { name: 'kubo-cid-v1', chunk: 256 * KIB, links: 174, leaves: 'raw' }
const V0_2015 = { name: 'unixfs-v0-2015', chunk: 256 * KIB, links: 174, leaves: 'dag-pb' }

const SIZES = [
  0, 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, MIB - 1, MIB, MIB + 1, 2 * MIB, 7100000,
  174 * 256 * KIB, 174 * 256 * KIB + 1, 68800000, 174 * MIB, 174 * MIB + 1, 175 * MIB, 300000000
]
const SMALL = [0, 1, 9, 10, 11, 20, 21, 30, 31, 40, 41, 90, 91, 100, 101, 160, 161, 270, 271, 810, 1000, 2560, 2561]

const rows = []
async function row (layout, bytes, encoder, cid) {
  rows.push([layout.name, layout.chunk, layout.links, layout.leaves, bytes, await cid, encoder].join('\t'))
  console.error(rows.at(-1))
}

for (const bytes of [...SIZES, 1024 * MIB, 1024 * MIB + 1]) {
  await row(V1_2025, bytes, IPFS_CAR, ipfsCar(bytes))
}
for (const bytes of SIZES) {
  await row(V1_2025, bytes, IMPORTER, importer(bytes, { profile: 'unixfs-v1-2025' }))
  await row(TEST_CID_V1, bytes, IMPORTER, importer(bytes, byLayout(TEST_CID_V1)))
  await row(KUBO_CID_V1, bytes, IMPORTER, importer(bytes, byLayout(KUBO_CID_V1)))
  await row(V0_2015, bytes, IMPORTER, importer(bytes, { profile: 'unixfs-v0-2015' }))
}
// Deep trees from few bytes.
for (const links of [2, 3, 4]) {
  for (const bytes of SMALL) {
    const tiny = { name: 'tiny', chunk: 10, links, leaves: 'raw' }
    await row(tiny, bytes, IPFS_CAR, ipfsCar(bytes, tiny))
    await row(tiny, bytes, IMPORTER, importer(bytes, byLayout(tiny)))
    const wrapped = { ...tiny, leaves: 'dag-pb' }
    await row(wrapped, bytes, IMPORTER, importer(bytes, byLayout(wrapped)))
  }
}

writeFileSync('../../fixtures/unixfs/vectors.tsv', [
  '# CIDs of the stream that tests/peer/unixfs/stream.mjs describes, made by make-vectors.mjs beside it:',
  '#   cd tests/peer/unixfs && npm ci && npm run vectors',
  `# ${IPFS_CAR} (@ipld/unixfs@${version('@ipld/unixfs')}), ${IMPORTER}, @ipld/dag-pb@${version('@ipld/dag-pb')}`,
  '# profile, bytes per chunk, links per node, leaves, bytes of the stream, CID, encoder',
  ...rows, ''
].join('\n'))
