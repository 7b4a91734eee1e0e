// Compares core/protocol with the official SDK: node protocol_peer.mjs PACKAGE_FOLDER PEER_PROGRAM [SEED [ROUNDS]]
//
// Server to client: the SDK's serializers write random messages, framed and compressed by node; the C code's reading of them must hold
// the same fields and rows. Client to server: the C code writes random messages; the SDK's deserializers must read the same fields and leave no
// byte. v2 payloads hold one message, v3 payloads one to five. Prints the seed, one line per direction, and exits with 1 at the first difference.

import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import zlib from 'node:zlib';

const [folder, program, seedText, roundsText] = process.argv.slice(2);
const seed = Number(seedText ?? (Date.now() % 2147483647));
const rounds = Number(roundsText ?? 1500);
console.log(`SEED=${seed}`);

// ---- the SDK: its generated message types are not exported, so the bundle is copied beside itself with one more line ----

function exposed() {
  const dist = path.join(folder, 'dist');
  const copy = path.join(dist, `exposed-${process.pid}.mjs`);
  fs.writeFileSync(copy, fs.readFileSync(path.join(dist, 'index.mjs'), 'utf8') + '\nexport { ClientMessage, ServerMessage };\n');
  return copy;
}
const copy = exposed();
const sdk = await import(pathToFileURL(copy));
fs.rmSync(copy);

// ---- chance (mulberry32) ----

let state = seed >>> 0;
function random(below) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % below;
}
const chance = () => random(2) === 0;
const pick = list => list[random(list.length)];
const list = (most, make) => Array.from({ length: random(most + 1) }, make);
const u32 = () => pick([0, 1, 0xffffffff, random(0xffffffff)]);
const bytes = most => Uint8Array.from(list(most, () => random(256)));
const text = () => pick(['', 'a', 'entity', 'h\u00e9\u20ac', '\u{1f600} "quoted"\n', 'SELECT * FROM user', 'x'.repeat(random(300))]);
const big = bits => BigInt.asUintN(bits, list(bits / 8, () => BigInt(random(256))).reduce((all, b) => (all << 8n) | b, 0n));
const i64 = () => BigInt.asIntN(64, pick([0n, -1n, 1700000000000000n, big(64)]));

// ---- what is expected, in the words of protocol_peer.c ----

const hex = b => Buffer.from(b).toString('hex');
const hexText = s => hex(Buffer.from(s, 'utf8'));
const little = (n, size) => hex(Buffer.from(n.toString(16).padStart(size * 2, '0'), 'hex').reverse());

function expected(fields) {
  return {
    kind: '', outcome: 'committed', ok: false, has_rows: false, request: -1, set: -1, timestamp: '0', duration: '0', identity: '00'.repeat(32),
    connection: '00'.repeat(16), token: '', text: '', value: '', updates: [], ...fields,
  };
}

// ---- server messages: what the SDK writes, and what must be read ----

function rows() {
  if (chance()) {
    const size = 1 + random(40);
    const all = list(5, () => Uint8Array.from({ length: size }, () => random(256)));
    return { wire: { sizeHint: { tag: 'FixedSize', value: size }, rowsData: Uint8Array.from(all.flatMap(r => [...r])) }, rows: all.map(hex) };
  }
  const all = list(6, () => bytes(30));
  let at = 0;
  const offsets = all.map(r => { const start = at; at += r.length; return BigInt(start); });
  return { wire: { sizeHint: { tag: 'RowOffsets', value: offsets }, rowsData: Uint8Array.from(all.flatMap(r => [...r])) }, rows: all.map(hex) };
}

function queryRows(set, deletes) {
  const updates = [];
  const tables = list(4, () => {
    const table = text(), content = rows();
    updates.push({ event: false, set, table: hexText(table), inserts: deletes ? [] : content.rows, deletes: deletes ? content.rows : [] });
    return { table, rows: content.wire };
  });
  return { wire: { tables }, updates };
}

function tableRows(set, table, updates) {
  const inserts = rows();
  if (chance()) {
    updates.push({ event: true, set, table: hexText(table), inserts: inserts.rows, deletes: [] });
    return { tag: 'EventTable', value: { events: inserts.wire } };
  }
  const deletes = rows();
  updates.push({ event: false, set, table: hexText(table), inserts: inserts.rows, deletes: deletes.rows });
  return { tag: 'PersistentTable', value: { inserts: inserts.wire, deletes: deletes.wire } };
}

function transaction() {
  const updates = [];
  const querySets = list(3, () => {
    const id = u32();
    const tables = list(3, () => {
      const tableName = text();
      return { tableName, rows: list(3, () => tableRows(id, tableName, updates)) };
    });
    return { querySetId: { id }, tables };
  });
  return { wire: { querySets }, updates };
}

function outcome() {
  const update = transaction(), value = bytes(40), error = text();
  const string = new sdk.BinaryWriter(64);
  string.writeString(error);
  return pick([
    () => [{ tag: 'Ok', value: { retValue: value, transactionUpdate: update.wire } }, { ok: true, has_rows: true, value: hex(value), updates: update.updates }],
    () => [{ tag: 'OkEmpty', value: {} }, { ok: true, has_rows: true }],
    () => [{ tag: 'Err', value: string.getBuffer() }, { outcome: 'failed', text: hexText(error), value: hex(string.getBuffer()) }],
    () => [{ tag: 'InternalError', value: error }, { outcome: 'internal', text: hexText(error) }],
  ])();
}

const SERVER = {
  InitialConnection() {
    const identity = big(256), connection = big(128), token = text();
    return [{ identity: new sdk.Identity(identity), connectionId: new sdk.ConnectionId(connection), token },
      { kind: 'connected', identity: little(identity, 32), connection: little(connection, 16), token: hexText(token) }];
  },
  SubscribeApplied() {
    const request = u32(), set = u32(), content = queryRows(set, false);
    return [{ requestId: request, querySetId: { id: set }, rows: content.wire },
      { kind: 'subscribed', request, set, has_rows: true, updates: content.updates }];
  },
  UnsubscribeApplied() {
    const request = u32(), set = u32(), content = chance() ? queryRows(set, true) : undefined;
    return [{ requestId: request, querySetId: { id: set }, rows: content?.wire },
      { kind: 'unsubscribed', request, set, has_rows: content !== undefined, updates: content?.updates ?? [] }];
  },
  SubscriptionError() {
    const request = chance() ? u32() : undefined, set = u32(), error = text();
    return [{ requestId: request, querySetId: { id: set }, error }, { kind: 'subscription_error', request: request ?? -1, set, text: hexText(error) }];
  },
  TransactionUpdate() {
    const update = transaction();
    return [update.wire, { kind: 'transaction', ok: true, has_rows: true, updates: update.updates }];
  },
  OneOffQueryResult() {
    const request = u32(), content = queryRows(-1, false);
    return [{ requestId: request, result: { ok: content.wire } }, { kind: 'one_off', ok: true, has_rows: true, request, updates: content.updates }];
  },
  ReducerResult() {
    const request = u32(), timestamp = i64(), [result, fields] = outcome();
    return [{ requestId: request, timestamp: new sdk.Timestamp(timestamp), result }, { kind: 'call_result', request, timestamp: `${timestamp}`, ...fields }];
  },
  ProcedureResult() {
    const request = u32(), timestamp = i64(), duration = i64(), good = chance(), value = bytes(40), error = text();
    return [{ status: good ? { tag: 'Returned', value } : { tag: 'InternalError', value: error }, timestamp: new sdk.Timestamp(timestamp),
      totalHostExecutionDuration: new sdk.TimeDuration(duration), requestId: request },
    { kind: 'procedure', request, timestamp: `${timestamp}`, duration: `${duration}`,
      ...(good ? { ok: true, value: hex(value) } : { outcome: 'internal', text: hexText(error) }) }];
  },
};

// The SDK's writer is wrong for the error of a Result, its reader is right: these bytes are made here and read by the SDK first.
function oneOffError() {
  const request = u32(), error = text();
  const w = new sdk.BinaryWriter(64);
  w.writeU8(5);
  w.writeU32(request);
  w.writeU8(1);
  w.writeString(error);
  const wire = w.getBuffer();
  const read = sdk.ServerMessage.deserialize(new sdk.BinaryReader(wire));
  assert.deepStrictEqual([read.tag, read.value.requestId, read.value.result.err], ['OneOffQueryResult', request, error]);
  return [wire, expected({ kind: 'one_off', request, text: hexText(error) })];
}

function serverMessage(tag) {
  if (tag === 'OneOffQueryResult' && chance()) return oneOffError();
  const [value, fields] = SERVER[tag]();
  const w = new sdk.BinaryWriter(64);
  sdk.ServerMessage.serialize(w, { tag, value });
  return [w.getBuffer(), expected(fields)];
}

function frame(plain) {
  return pick([
    () => Buffer.concat([Buffer.from([0]), plain]),
    () => Buffer.concat([Buffer.from([1]), zlib.brotliCompressSync(plain, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: random(6) } })]),
    () => Buffer.concat([Buffer.from([2]), zlib.gzipSync(plain, { level: random(10) })]),
  ])();
}

function run(commands) {
  const result = spawnSync(program, [], { input: commands.join('\n') + '\n', encoding: 'utf8', maxBuffer: 1 << 30 });
  if (result.error) throw result.error;
  assert.strictEqual(result.status, 0, `the peer ended with ${result.status ?? result.signal}: ${result.stderr}`);
  const lines = result.stdout.split('\n');
  assert.strictEqual(lines.pop(), '');
  assert.strictEqual(lines.length, commands.length);
  return lines;
}

function compareServer() {
  const commands = [], wanted = [], count = {};
  for (let i = 0; i < rounds; i++) {
    const version = 2 + random(2);
    const messages = Array.from({ length: version === 2 ? 1 : 1 + random(5) }, () => {
      const tag = pick(Object.keys(SERVER));
      count[tag] = (count[tag] ?? 0) + 1;
      return serverMessage(tag);
    });
    commands.push(`read ${version} x${hex(frame(Buffer.concat(messages.map(m => m[0]))))}`);
    wanted.push(messages.map(m => m[1]));
  }
  run(commands).forEach((line, i) => {
    try {
      assert.deepStrictEqual(JSON.parse(line), wanted[i]);
    } catch (e) {
      e.message = `${commands[i]}\n${line}\n${e.message}`;
      throw e;
    }
  });
  for (const tag of Object.keys(SERVER)) assert.ok(count[tag] > 0, `${tag} never came`);
  console.log(`server messages compared: ${Object.values(count).reduce((a, b) => a + b)}`);
}

// ---- client messages: what the C code writes, and what the SDK must read ----

const CLIENT = {
  subscribe(version) {
    const request = u32(), set = u32(), queries = list(5, text);
    return [`subscribe ${version} ${request} ${set} ${queries.map(q => 'x' + hexText(q)).join(' ')}`.trimEnd(),
      { tag: 'Subscribe', value: { requestId: request, querySetId: { id: set }, queryStrings: queries } }];
  },
  unsubscribe(version) {
    const request = u32(), set = u32(), rowsToo = random(2);
    return [`unsubscribe ${version} ${request} ${set} ${rowsToo}`,
      { tag: 'Unsubscribe', value: { requestId: request, querySetId: { id: set }, flags: { tag: rowsToo ? 'SendDroppedRows' : 'Default', value: {} } } }];
  },
  one_off(version) {
    const request = u32(), query = text();
    return [`one_off ${version} ${request} x${hexText(query)}`, { tag: 'OneOffQuery', value: { requestId: request, queryString: query } }];
  },
  call(version) {
    const request = u32(), reducer = text(), args = bytes(60);
    return [`call ${version} ${request} x${hexText(reducer)} x${hex(args)}`, { tag: 'CallReducer', value: { requestId: request, flags: 0, reducer, args } }];
  },
  procedure(version) {
    const request = u32(), procedure = text(), args = bytes(60);
    return [`procedure ${version} ${request} x${hexText(procedure)} x${hex(args)}`,
      { tag: 'CallProcedure', value: { requestId: request, flags: 0, procedure, args } }];
  },
};

// Byte arrays of the SDK are views into the input: compared as plain ones.
const plain = message => ({ ...message, value: { ...message.value, ...(message.value.args && { args: hex(message.value.args) }) } });

function readAll(wire) {
  const reader = new sdk.BinaryReader(wire), messages = [];
  while (reader.remaining > 0) messages.push(plain(sdk.ClientMessage.deserialize(reader)));
  return messages;
}

function compareClient() {
  const cases = Array.from({ length: rounds }, (_, i) => pick(Object.values(CLIENT))(2 + (i % 2)));
  const lines = run(cases.map(c => c[0])).map(line => Uint8Array.from(Buffer.from(line, 'hex')));
  for (let i = 0; i < cases.length; ) {
    const together = i % 2 === 1 ? 1 + random(4) : 1; // v3 payloads: several written behind each other
    const slice = cases.slice(i, i + together);
    assert.deepStrictEqual(readAll(Uint8Array.from(Buffer.concat(lines.slice(i, i + together)))), slice.map(c => plain(c[1])), slice.map(c => c[0]).join('\n'));
    i += together;
  }
  console.log(`client messages compared: ${cases.length}`);
}

compareServer();
compareClient();
