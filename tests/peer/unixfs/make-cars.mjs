// Writes CARs in depth-first order, as gateways send them, to tests/fixtures/unixfs/: real trees that no profile of ours
// builds, and one that names the same block many times.
//
//     cd tests/peer/unixfs && npm ci && npm run cars

import { CarWriter } from '@ipld/car'
import * as dagPb from '@ipld/dag-pb'
import { importByteStream } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced, trickle } from 'ipfs-unixfs-importer/layout'
import { writeFileSync } from 'node:fs'
import { block } from './stream.mjs'

async function car (name, content, options, again) {
  const store = new Map()
  const blockstore = { put: async (cid, bytes) => { store.set(cid.toString(), bytes); return cid } }
  const { cid: root } = await importByteStream([content], blockstore, options)
  const { writer, out } = CarWriter.create([root])
  const seen = new Set()
  const visit = async cid => {
    const name = cid.toString()
    if (seen.has(name) && !again) return
    seen.add(name)
    const bytes = store.get(name)
    await writer.put({ cid, bytes })
    if (cid.code !== dagPb.code) return
    for (const link of dagPb.decode(bytes).Links) await visit(link.Hash)
  }
  const pieces = (async () => {
    const pieces = []
    for await (const piece of out) pieces.push(piece)
    return Buffer.concat(pieces)
  })()
  await visit(root)
  await writer.close()
  writeFileSync(`../../fixtures/unixfs/${name}.car`, await pieces)
  console.log(name, content.length, root.toString())
}

const sample = block().subarray(0, 3000)
const repeated = Uint8Array.from({ length: 3000 }, (_, i) => sample[i % 100])

// What `ipfs add --trickle` builds: a tree of uneven depth over wrapped leaves of type raw.
await car('trickle', sample, {
  cidVersion: 0,
  rawLeaves: false,
  leafType: 'raw',
  reduceSingleLeafToSelf: false,
  chunker: fixedSize({ chunkSize: 100 }),
  layout: trickle({ maxChildrenPerNode: 3 })
})
const uneven = { chunker: fixedSize({ chunkSize: 100 }), layout: balanced({ maxChildrenPerNode: 4 }) }
await car('repeated-once', repeated, uneven, false)
await car('repeated-again', repeated, uneven, true)
