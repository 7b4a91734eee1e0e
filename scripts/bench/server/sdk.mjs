// sdk.mjs: the same measurements as bare.c and lua.lua, made with the official TypeScript SDK: the peer of the server benchmark.
//
//   node sdk.mjs PACKAGE_FOLDER PORT DATABASE calls COUNT IN_FLIGHT FIRST    prints calls a second
//   node sdk.mjs PACKAGE_FOLDER PORT DATABASE rows                           prints milliseconds until the rows are applied and their
//                                                                            callbacks have run, rows, and the growth of the process in MB
//
// The bindings that the SDK's generator would write are written by hand for the two generations: 1.x (v1 protocol) and 2.x (v2 and v3).

import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, port, database, what, ...numbers] = process.argv.slice(2);
const about = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
const first_generation = about.version.startsWith('1.');
const quiet = () => {};
const say = console.log.bind(console);
console.log = quiet;
console.info = quiet;
const sdk = await import(pathToFileURL(path.join(folder, first_generation ? 'dist/index.js' : 'dist/sdk/index.mjs')));

function first_bindings() {
  const { AlgebraicType, ProductTypeElement } = sdk;
  const product = fields => AlgebraicType.createProductType(fields.map(([name, type]) => new ProductTypeElement(name, type)));
  const u64 = AlgebraicType.createU64Type();
  const reducers = {
    add: { reducerName: 'add', argsType: product([['id', u64]]) },
    fill: { reducerName: 'fill', argsType: product([['first', u64], ['count', AlgebraicType.createU32Type()]]) },
    noop: { reducerName: 'noop', argsType: product([]) },
  };
  const item = { tableName: 'item', rowType: product([['id', u64], ['payload', AlgebraicType.createStringType()]]), primaryKey: 'id' };
  return {
    tables: { item },
    reducers,
    eventContextConstructor: (connection, event) => ({ db: connection.db, event }),
    dbViewConstructor: connection => ({ item: connection.clientCache.getOrCreateTable(item) }),
    reducersConstructor: connection => ({
      connection,
      add(id) {
        const writer = new sdk.BinaryWriter(16);
        reducers.add.argsType.serialize(writer, { id });
        connection.callReducer('add', writer.getBuffer(), 'FullUpdate');
      },
    }),
    setReducerFlagsConstructor: () => ({}),
  };
}

function second_bindings() {
  const { t, table, schema, reducers, reducerSchema } = sdk;
  const row = t.row({ id: t.u64().primaryKey(), payload: t.string() });
  const tables = schema({
    item: table({
      name: 'item',
      indexes: [{ accessor: 'id', name: 'item_id_idx_btree', algorithm: 'btree', columns: ['id'] }],
      constraints: [{ name: 'item_id_key', constraint: 'unique', columns: ['id'] }],
    }, row),
  });
  const calls = reducers(
    reducerSchema('add', { id: t.u64() }), reducerSchema('fill', { first: t.u64(), count: t.u32() }), reducerSchema('noop', {}));
  return { versionInfo: { cliVersion: '2.8.0' }, tables: tables.schemaType.tables, reducers: calls.reducersType.reducers, procedures: [] };
}

function connect() {
  return new Promise((resolve, reject) => {
    const bindings = first_generation ? first_bindings() : second_bindings();
    const make = first_generation ? made => made : config => new sdk.DbConnectionImpl(config);
    const builder = new sdk.DbConnectionBuilder(bindings, make).withUri(`ws://127.0.0.1:${port}`);
    (first_generation ? builder.withModuleName(database) : builder.withDatabaseName(database))
      .withCompression('none')
      .onConnect(connection => resolve(connection))
      .onConnectError((_, error) => reject(error))
      .build();
  });
}

// Resolves when all are answered.
function call_first(connection, count, in_flight, start) {
  return new Promise(resolve => {
    let sent = 0, answered = 0;
    const more = () => {
      while (sent < count && sent - answered < in_flight) connection.reducers.add(BigInt(start + sent++));
    };
    connection.onReducer('add', context => {
      if (context.event.status.tag !== 'Committed') throw new Error('a call was refused');
      if (++answered === count) resolve();
      else more();
    });
    more();
  });
}

async function call_second(connection, count, in_flight, start) {
  let sent = 0;
  const worker = async () => {
    while (sent < count) await connection.reducers.add({ id: BigInt(start + sent++) });
  };
  await Promise.all(Array.from({ length: in_flight }, worker));
}

const connection = await connect();
if (what === 'calls') {
  const [count, in_flight, start] = numbers.map(Number);
  const began = performance.now();
  await (first_generation ? call_first : call_second)(connection, count, in_flight, start);
  say((count / ((performance.now() - began) / 1e3)).toFixed(0));
} else {
  let seen = 0;
  connection.db.item.onInsert(() => seen++);
  const memory = process.memoryUsage().rss;
  const began = performance.now();
  await new Promise((resolve, reject) => {
    connection.subscriptionBuilder().onApplied(resolve).onError(context => reject(context.event ?? context)).subscribe(['SELECT * FROM item']);
  });
  await new Promise(resolve => setImmediate(resolve)); // 2.x calls the row callbacks after onApplied, in the same turn
  say(`${(performance.now() - began).toFixed(1)} ${seen} ${((process.memoryUsage().rss - memory) / 1e6).toFixed(0)}`);
}
process.exit(0);
