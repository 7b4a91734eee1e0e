/* modules.c: what an engine hosts: the modules' definitions become one schema, whose reducers find their module again; lifecycle reducers run for each.
 *
 * `init` of a module runs in the transaction that is its first in this universe: for the native one when nothing was ever committed, for others while the
 * file's list of modules (a hash of each name) does not have them and their tables are empty. The list is written with the group behind the one of `init`, so
 * a crash between them leaves rows, which tell the same.
 */
#include "session.h"

#include "../base/alloc.h"
#include "../base/hash.h"

/* ---- taking and releasing ---- */

iu_status iu__modules_take(iu_engine *e, const iu_engine_config *config, iu_error *err) {
  iu_hosted *first = NULL;
  e->tx.engine = e;
  if (config->module != NULL || !config->no_nerv) first = &e->modules[e->module_count++];
  for (uint32_t i = 0; i < config->module_count; i++) e->modules[e->module_count++].m = config->modules[i];
  if (e->module_count > IU_ENGINE_MODULES_MAX) {
    return iu__fail(err, IU_E_OVERLOADED, "%u modules, at most %d are hosted by one universe", e->module_count, IU_ENGINE_MODULES_MAX);
  }
  if (e->module_count == 0) return iu__fail(err, IU_E_VALIDATION, "no modules: a universe without NERV's own needs one");
  if (first == NULL) return IU_OK;
  first->native = true;
  return iu__native_module(e, config->module != NULL ? config->module : iu__nerv_module(), &first->m, err);
}

void iu__modules_release(iu_engine *e) {
  for (uint32_t i = e->module_count; i > 0; i--) {
    iu_hosted_module *m = &e->modules[i - 1].m;
    if (m->release != NULL) m->release(m->ud);
  }
  iu__free(e->modules);
}

/* ---- the schema ---- */

static iu_status check_schema(const iu_schema *s, iu_error *err) {
  if (s->view_count != 0) {
    return iu__fail(err, IU_E_VALIDATION, "view %s: views are not supported by the embedded engine", s->tables[s->table_count - s->view_count].name);
  }
  for (uint32_t t = 0; t < s->table_count; t++) {
    if (s->tables[t].sequence_count > IU_SEQUENCE_COLUMNS_MAX) {
      return iu__fail(err, IU_E_VALIDATION, "table %s: more than %d sequences", s->tables[t].name, IU_SEQUENCE_COLUMNS_MAX);
    }
  }
  return IU_OK;
}

static iu_status number_parts(iu_engine *e, iu_error *err) {
  const iu_schema *s = e->schema;
  uint32_t at = 0;
  e->index_base = iu__alloc_zero(s->table_count + 1u, sizeof *e->index_base);
  e->sequence_base = iu__alloc_zero(s->table_count + 1u, sizeof *e->sequence_base);
  e->module_of = iu__alloc_zero(s->reducer_count + 1u, 1);
  if (e->index_base == NULL || e->sequence_base == NULL || e->module_of == NULL) return iu__fail_nomem(err);
  for (uint32_t t = 0; t < s->table_count; t++) {
    e->index_base[t] = e->index_total;
    e->sequence_base[t] = e->sequence_count;
    e->index_total += s->tables[t].index_count;
    e->sequence_count += s->tables[t].sequence_count;
  }
  e->sequence_base[s->table_count] = e->sequence_count;
  e->sequences = iu__alloc_zero(e->sequence_count + 1u, sizeof *e->sequences);
  e->sequence_values = iu__alloc_zero(e->sequence_count + 1u, sizeof *e->sequence_values);
  if (e->sequences == NULL || e->sequence_values == NULL) return iu__fail_nomem(err);
  for (uint32_t t = 0; t < s->table_count; t++) {
    for (uint32_t i = 0; i < s->tables[t].sequence_count; i++) {
      const iu_sequence_def *def = &s->tables[t].sequences[i];
      e->sequences[at++] = (iu_sequence){.table = t, .index = i, .def = def, .next = def->start};
    }
  }
  for (uint32_t m = 0; m < e->module_count; m++) memset(e->module_of + e->modules[m].first_reducer, (int)m, e->modules[m].reducers);
  return IU_OK;
}

static iu_status define_all(iu_engine *e, iu_buf *definitions, iu_schema_part *parts, iu_error *err) {
  for (uint32_t i = 0; i < e->module_count; i++) {
    iu_hosted_module *m = &e->modules[i].m;
    iu_status status = m->define(m->ud, &definitions[i], err);
    if (status == IU_OK) status = iu__buf_status(&definitions[i], err, "module definition");
    if (status != IU_OK) {
      iu__error_prefix(err, "module %s", m->name);
      return status;
    }
    parts[i] = (iu_schema_part){m->name, definitions[i].data, definitions[i].len, 0, 0};
  }
  return IU_OK;
}

/* A module alone keeps its definition as it wrote it. */
static iu_status decode_all(iu_engine *e, iu_schema_part *parts, iu_error *err) {
  iu_status status;
  if (e->module_count > 1) return iu__schema_merge(parts, e->module_count, &e->schema, err);
  status = iu__schema_decode(parts->definition, parts->len, &e->schema, err);
  if (status != IU_OK) {
    iu__error_prefix(err, "module %s", parts->module);
    return status;
  }
  parts->tables = e->schema->table_count;
  parts->reducers = e->schema->reducer_count;
  return IU_OK;
}

iu_status iu__modules_merge(iu_engine *e, iu_error *err) {
  iu_buf *definitions = iu__alloc_zero(e->module_count, sizeof *definitions);
  iu_schema_part *parts = iu__alloc_zero(e->module_count, sizeof *parts);
  uint32_t tables = 0, reducers = 0;
  iu_status status = definitions != NULL && parts != NULL ? define_all(e, definitions, parts, err) : iu__fail_nomem(err);
  if (status == IU_OK) status = decode_all(e, parts, err);
  for (uint32_t i = 0; i < e->module_count && status == IU_OK; i++) {
    iu_hosted *m = &e->modules[i];
    m->first_table = tables;
    m->first_reducer = reducers;
    tables += m->tables = parts[i].tables;
    reducers += m->reducers = parts[i].reducers;
  }
  for (uint32_t i = 0; i < e->module_count && definitions != NULL; i++) iu__buf_free(&definitions[i]);
  iu__free(definitions);
  iu__free(parts);
  if (status == IU_OK) status = check_schema(e->schema, err);
  return status == IU_OK ? number_parts(e, err) : status;
}

iu_status iu__modules_bind(iu_engine *e, iu_error *err) {
  for (uint32_t i = 0; i < e->module_count; i++) {
    iu_hosted *m = &e->modules[i];
    iu_status status = m->m.bound != NULL ? m->m.bound(m->m.ud, e->schema, e->store, m->first_table, m->first_reducer, &e->tx, err) : IU_OK;
    if (status == IU_OK) continue;
    iu__error_prefix(err, "module %s", m->m.name);
    return status;
  }
  return IU_OK;
}

/* ---- lifecycles ---- */

/* A module's own; IU_OK where it has none. */
static iu_status call_one(iu_engine *e, const iu_hosted *m, iu_lifecycle which, const uint8_t identity[32], const uint8_t connection_id[16], uint64_t *seq,
                          iu_error *err) {
  iu_caller caller = {.session = NULL};
  *seq = 0;
  memcpy(caller.identity, identity, 32);
  memcpy(caller.connection_id, connection_id, 16);
  for (uint32_t i = 0; i < m->reducers; i++) {
    uint32_t reducer = m->first_reducer + i;
    if (e->schema->reducers[reducer].lifecycle == which) return iu__transaction_call(e, reducer, "", 0, &caller, seq, err);
  }
  return IU_OK;
}

/* The modules that had greeted a client which a later one refused say goodbye. */
static void take_back(iu_engine *e, uint32_t greeted, const uint8_t identity[32], const uint8_t connection_id[16]) {
  for (uint32_t i = 0; i < greeted; i++) {
    iu_error why;
    uint64_t seq;
    if (call_one(e, &e->modules[i], IU_LC_DISCONNECT, identity, connection_id, &seq, &why) == IU_OK) continue;
    iu__log(&e->config.log, IU_LOG_WARN, "module %s: client_disconnected: %s", e->modules[i].m.name, why.message);
  }
}

iu_status iu__lifecycle_call(iu_engine *e, iu_lifecycle which, const uint8_t identity[32], const uint8_t connection_id[16], iu_error *err) {
  iu_status first = IU_OK;
  for (uint32_t i = 0; i < e->module_count; i++) {
    uint64_t seq;
    iu_error why;
    iu_status status = call_one(e, &e->modules[i], which, identity, connection_id, &seq, &why);
    if (status == IU_OK) continue;
    if (first == IU_OK && err != NULL) *err = why;
    if (first == IU_OK) first = status;
    if (which == IU_LC_DISCONNECT) continue; /* each hears of it, whatever another one says */
    take_back(e, i, identity, connection_id);
    break;
  }
  return first;
}

/* ---- init ---- */

#define NAME_BYTES 8 /* a module in the file's list */

static void name_of(const iu_hosted *m, uint8_t out[NAME_BYTES]) {
  iu__store_u64(out, iu__hash64(m->m.name, strlen(m->m.name)));
}

static bool is_listed(const iu_engine *e, const iu_hosted *m) {
  uint8_t name[NAME_BYTES];
  size_t len = 0;
  const uint8_t *list = iu__journal_meta(e->journal, IU_META_MODULES, &len);
  name_of(m, name);
  for (size_t at = 0; list != NULL && at + NAME_BYTES <= len; at += NAME_BYTES) {
    if (memcmp(list + at, name, NAME_BYTES) == 0) return true;
  }
  return false;
}

static iu_status list_module(iu_engine *e, const iu_hosted *m, iu_error *err) {
  uint8_t all[IU_JOURNAL_META_MAX];
  size_t len = 0;
  const uint8_t *list = iu__journal_meta(e->journal, IU_META_MODULES, &len);
  if (list == NULL) len = 0;
  if (len + NAME_BYTES > sizeof all) return iu__fail(err, IU_E_OVERLOADED, "the file has seen more than %zu modules", sizeof all / NAME_BYTES);
  if (len != 0) memcpy(all, list, len);
  name_of(m, all + len);
  return iu__journal_set_meta(e->journal, IU_META_MODULES, all, len + NAME_BYTES, err);
}

static bool has_rows(const iu_engine *e, const iu_hosted *m) {
  for (uint32_t i = 0; i < m->tables; i++) {
    if (iu__table_count(iu__store_table(e->store, m->first_table + i), IU_EPOCH_LATEST) != 0) return true;
  }
  return false;
}

iu_status iu__modules_init(iu_engine *e, iu_error *err) {
  static const uint8_t none[16] = {0};
  for (uint32_t i = 0; i < e->module_count; i++) {
    const iu_hosted *m = &e->modules[i];
    uint64_t seq;
    iu_status status = IU_OK;
    if (m->native ? e->recovery.last_sequence != 0 : is_listed(e, m)) continue;
    iu__engine_catch_up(e);
    if (m->native || !has_rows(e, m)) status = call_one(e, m, IU_LC_INIT, e->owner, none, &seq, err);
    if (status == IU_OK && !m->native) status = list_module(e, m, err);
    if (status == IU_OK) continue;
    iu__error_prefix(err, "module %s", m->m.name);
    return status;
  }
  return IU_OK;
}
