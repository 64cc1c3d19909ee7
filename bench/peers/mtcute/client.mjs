// Moves files by mtcute's own downloader and uploader. bench/peers/doc.go says
// how it is called.
import { existsSync, mkdirSync, openSync, closeSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { addPublicKey } from '@mtcute/core/utils.js'
import { MemoryStorage, TelegramClient } from '@mtcute/node'
import { NodeCryptoProvider } from '@mtcute/node/utils.js'

import { MtprotoSession } from './node_modules/@mtcute/core/network/mtproto-session.js'

// The cluster holds clients to the letter of the protocol: an acknowledgement
// must not ask for one itself. mtcute's do, and Telegram lets that pass. So they
// are marked as they should be; nothing else of mtcute is changed.
const idMsgsAck = 0x62d6b459
const writeMessage = MtprotoSession.prototype.writeMessage
MtprotoSession.prototype.writeMessage = function (writer, content, related) {
  if (ArrayBuffer.isView(content) && new DataView(content.buffer, content.byteOffset).getUint32(0, true) === idMsgsAck) related = false
  return writeMessage.call(this, writer, content, related)
}

const botToken = '1:sim'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    datacenters: { type: 'string' },
    session: { type: 'string' },
    channel: { type: 'string', default: 'bench' },
    path: { type: 'string' },
    connections: { type: 'string', default: '8' },
    threads: { type: 'string', default: '8' },
    part: { type: 'string', default: '524288' },
  },
})
const connections = Number(flags.connections)
const threads = Number(flags.threads)
const partKiB = Math.min(Number(flags.part), 512 << 10) / 1024 // it takes no larger ones

// connect makes a client that knows the cluster's addresses and RSA keys.
async function connect() {
  const file = JSON.parse(readFileSync(flags.datacenters, 'utf8'))
  const home = file.dc.find((dc) => dc.id === file.home_dc && !dc.cdn && !dc.media_only)
  const colon = home.address.lastIndexOf(':')
  const dc = { id: home.id, ipAddress: home.address.slice(0, colon), port: Number(home.address.slice(colon + 1)), testMode: file.test }
  const crypto = new NodeCryptoProvider()
  await crypto.initialize()
  for (const key of file.public_keys) addPublicKey(crypto, key, false)
  const client = new TelegramClient({
    apiId: 1,
    apiHash: '0123456789abcdef0123456789abcdef',
    storage: new MemoryStorage(),
    testMode: file.test,
    defaultDcs: { main: dc, media: dc },
    crypto,
    disableUpdates: true,
    updates: false,
    logLevel: 1,
    network: { connectionCount: (kind) => (kind === 'main' ? 0 : connections) },
  })
  const known = existsSync(flags.session)
  if (known) await client.importSession(readFileSync(flags.session, 'utf8'))
  await client.start({ botToken })
  if (!known) writeFileSync(flags.session, await client.exportSession(), { mode: 0o600 })
  return client
}

// fetchTo writes a document into a new file, in the order in which its parts
// come from the library.
async function fetchTo(client, doc, path) {
  const fd = openSync(path, 'wx')
  try {
    let at = 0
    for await (const part of client.downloadAsIterable(doc, { partSize: partKiB })) {
      writeSync(fd, part, 0, part.length, at)
      at += part.length
    }
    if (at !== doc.fileSize) throw new Error(`got ${at} bytes of ${doc.fileSize}`)
  } finally {
    closeSync(fd)
  }
  return doc.fileSize
}

async function documents(client, ids) {
  const messages = await client.getMessages(flags.channel, ids)
  return messages.filter((m) => m?.media?.type === 'document').map((m) => m.media)
}

const commands = {
  async download(client) {
    const [doc] = await documents(client, [1])
    if (!doc) throw new Error('message 1 has no document')
    return { bytes: await fetchTo(client, doc, flags.path), files: 1 }
  },

  async upload(client) {
    const file = await client.uploadFile({
      file: flags.path, partSize: partKiB, fileMime: 'application/octet-stream',
      requestsPerConnection: Math.max(1, Math.ceil(threads / connections)),
    })
    await client.sendMedia(flags.channel, { type: 'document', file, fileName: 'source' })
    return { bytes: statSync(flags.path).size, files: 1 }
  },

  // files fetches as many at once as there are threads.
  async files(client) {
    mkdirSync(flags.path, { recursive: true })
    let bytes = 0
    let files = 0
    for (let first = 1; ; first += 100) {
      const page = await documents(client, Array.from({ length: 100 }, (_, i) => first + i))
      if (page.length === 0) return { bytes, files }
      const work = async () => {
        for (let doc = page.shift(); doc; doc = page.shift()) {
          const got = await fetchTo(client, doc, join(flags.path, doc.uniqueFileId))
          bytes += got // not in one with the await: others add meanwhile
          files++
        }
      }
      await Promise.all(Array.from({ length: threads }, work))
    }
  },
}

const command = commands[positionals[0]]
if (!command) {
  console.error('mtcute: want a command: download, upload or files')
  process.exit(2)
}
const client = await connect()
const start = performance.now()
const moved = await command(client)
console.log(JSON.stringify({ ...moved, seconds: (performance.now() - start) / 1000 }))
await client.destroy()
process.exit(0)
