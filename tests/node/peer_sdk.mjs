// The official SDK as a client of tests/peer: node [--experimental-websocket] peer_sdk.mjs PACKAGE_FOLDER PEER_PROGRAM PROTOCOL
//
// What the peer says is right when the SDK, which was made for real servers, shows the rows and answers that follow from what was done. PROTOCOL is
// v2 or v3: the newest that the peer speaks. Prints `steps: N` and exits with 1 at the first difference.

import assert from 'node:assert';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, program, protocol] = process.argv.slice(2);
const sdk = await import(pathToFileURL(path.resolve(folder, 'dist/sdk/index.mjs')));
sdk.setGlobalLogLevel?.('error');
let steps = 0;
const step = () => { steps++; };

// ---- the peer ----

const peer = spawn(program, ['--newest', protocol], { stdio: ['pipe', 'pipe', 'inherit'] });
process.on('exit', () => peer.kill('SIGKILL'));
const port = await new Promise((resolve, reject) => {
  let text = '';
  peer.stdout.on('data', piece => {
    text += piece;
    const found = /^port (\d+)$/m.exec(text);
    if (found) resolve(Number(found[1]));
  });
  peer.on('exit', code => reject(new Error(`the peer ended with ${code}`)));
});
const base = `http://127.0.0.1:${port}`;
const post = (where, body) => fetch(base + where, { method: 'POST', body });
const { token: owner } = await (await post('/v1/identity')).json();
const published = await fetch(`${base}/v1/database/nerv`, { method: 'PUT', headers: { authorization: `Bearer ${owner}` }, body: 'module' });
assert.equal((await published.json()).Success.op, 'created');
step();

// ---- bindings, as the SDK's generator writes them ----

const { t } = sdk;
const metadata = t.object('EntityMetadata', {
  name: t.option(t.string()), description: t.option(t.string()), tags: t.array(t.string()), properties: t.string(),
});
const tables = sdk.schema({
  entity: sdk.table({ name: 'entity', indexes: [], constraints: [] }, t.row({
    id: t.string().primaryKey(), entity_type: t.string(), created_at: t.timestamp(), updated_at: t.timestamp(), metadata,
  })),
  config: sdk.table({ name: 'config', indexes: [], constraints: [] }, t.row({
    key: t.string().primaryKey(), value: t.string(), description: t.string(), updated_at: t.timestamp(), updated_by: t.identity(),
  })),
});
const reducers = sdk.reducers(
  sdk.reducerSchema('create_entity', { entity_type: t.string(), metadata, id: t.option(t.string()) }),
  sdk.reducerSchema('update_entity', { id: t.string(), metadata }),
  sdk.reducerSchema('delete_entity', { id: t.string(), cascade: t.bool() }),
  sdk.reducerSchema('no_such_reducer', {}),
);
const MODULE = { versionInfo: { cliVersion: '2.8.3' }, tables: tables.schemaType.tables, reducers: reducers.reducersType.reducers, ...sdk.procedures() };

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: nothing in 10 s`)), 10000); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function connect(compression, token) {
  return within(new Promise((resolve, reject) => {
    new sdk.DbConnectionBuilder(MODULE, config => new sdk.DbConnectionImpl(config))
      .withUri(`ws://127.0.0.1:${port}`).withDatabaseName('nerv').withCompression(compression).withToken(token)
      .onConnect((conn, identity, given) => resolve({ conn, identity, token: given }))
      .onConnectError((_, error) => reject(error)).build();
  }), 'connecting');
}

function subscribe(conn, ...queries) {
  return within(new Promise((resolve, reject) => {
    const handle = conn.subscriptionBuilder().onApplied(() => resolve(handle)).onError(ctx => reject(ctx.event)).subscribe(queries);
  }), 'subscribing');
}
const unsubscribe = handle => within(new Promise(resolve => handle.unsubscribeThen(resolve)), 'unsubscribing');

async function eventually(fn, what) {
  for (let i = 0; i < 1000; i++) {
    if (fn()) return;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  assert.fail(what);
}
const ids = conn => [...conn.db.entity.iter()].map(row => row.id).sort().join();
const about = (name, properties) => ({ name, description: undefined, tags: ['a', 'b'], properties: properties ?? '{}' });

// ---- what must hold ----

const a = await connect('gzip', owner), b = await connect('none');
assert.equal(a.conn.identity.toHexString(), owner.split('.')[1]);
assert.notEqual(a.conn.identity.toHexString(), b.conn.identity.toHexString());
assert.equal(a.conn.ws.protocol, `${protocol}.bsatn.spacetimedb`);
step();

const seen = [];
a.conn.db.entity.onInsert((ctx, row) => seen.push(`insert ${row.id} ${ctx.event.tag}`));
a.conn.db.entity.onUpdate((ctx, old, row) => seen.push(`update ${old.metadata.name} ${row.metadata.name}`));
a.conn.db.entity.onDelete((ctx, row) => seen.push(`delete ${row.id}`));
const all = await subscribe(a.conn, 'SELECT * FROM entity');
const people = await subscribe(b.conn, "SELECT * FROM entity WHERE entity_type = 'Person'");
assert.equal(ids(a.conn), '');
step();

await within(a.conn.reducers.createEntity({ entity_type: 'Person', metadata: about('Ada'), id: 'ada' }), 'a call');
assert.equal(ids(a.conn), 'ada', 'the rows of an own call are there when it returns');
assert.deepEqual(seen, ['insert ada Reducer']);
await within(a.conn.reducers.createEntity({ entity_type: 'Robot', metadata: about('Marvin'), id: 'marvin' }), 'a call');
await eventually(() => ids(b.conn) === 'ada', 'the other connection sees the person only');
const row = a.conn.db.entity.id.find('ada');
assert.equal(row.metadata.name, 'Ada');
assert.deepEqual(row.metadata.tags, ['a', 'b']);
step();

// Refusals: of the reducer, of a name the module does not have.
await assert.rejects(within(a.conn.reducers.createEntity({ entity_type: 'Person', metadata: about('Ada'), id: 'ada' }), 'a call'), /CONFLICT/);
await assert.rejects(within(a.conn.reducers.noSuchReducer({}), 'a call'), /no such reducer/);
step();

// An update is one; a row that stays in a query is not deleted; a big message goes out compressed and in many fragments.
seen.length = 0;
const big = JSON.stringify({ text: 'x'.repeat(200000) });
await within(b.conn.reducers.updateEntity({ id: 'ada', metadata: about('Ada L.', big) }), 'a call');
assert.equal(b.conn.db.entity.id.find('ada').metadata.properties, big);
await eventually(() => seen.length === 1, 'an update arrives');
assert.deepEqual(seen, ['update Ada Ada L.']);
assert.equal(a.conn.db.entity.id.find('ada').metadata.properties, big);
step();

// Overlapping sets: rows stay as long as one of them holds them.
const again = await subscribe(a.conn, "SELECT * FROM entity WHERE entity_type = 'Person'", 'SELECT * FROM config');
assert.ok(a.conn.db.config.count() > 0n);
await unsubscribe(all);
assert.equal(ids(a.conn), 'ada');
await unsubscribe(again);
assert.equal(ids(a.conn), '');
assert.equal(a.conn.db.config.count(), 0n);
step();

// Errors of a subscription leave the others alone.
await assert.rejects(subscribe(b.conn, 'SELECT * FROM no_such_table'), /no_such_table/);
await assert.rejects(subscribe(b.conn, 'SELECT * FROM permission'), /permission/);
assert.equal(ids(b.conn), 'ada');
step();

// Many calls at once: each answered, in order.
const order = [];
await within(Promise.all(Array.from({ length: 500 }, (_, i) =>
  b.conn.reducers.createEntity({ entity_type: 'Person', metadata: about(`p${i}`), id: `p${i}` }).then(() => order.push(i)))), '500 calls');
assert.deepEqual(order, Array.from({ length: 500 }, (_, i) => i));
assert.equal(b.conn.db.entity.count(), 501n);
await unsubscribe(people);
assert.equal(b.conn.db.entity.count(), 0n);
step();

// The same token is the same identity, a made-up one is refused.
const c = await connect('gzip', b.token);
assert.equal(c.identity.toHexString(), b.identity.toHexString());
await assert.rejects(connect('none', 'made.up.token'));
step();

const gone = within(new Promise(resolve => c.conn.ws.onclose = resolve), 'closing');
c.conn.disconnect();
await gone;
a.conn.disconnect();
b.conn.disconnect();
peer.removeAllListeners('exit');
const ended = within(new Promise(resolve => peer.on('exit', resolve)), 'the end');
peer.stdin.end();
assert.equal(await ended, 0);
console.log(`steps: ${steps}`);
process.exit(0);
