/* bulk.c: our side of insert_bulk_c: a host in C whose one reducer inserts rows of 100 bytes. bulk FOLDER COUNT prints the seconds of the call. */
#include <inner_universe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static iu_status bulk(void *ud, iu_ctx *ctx, const iu_value *args, iu_error *err) {
  const long *count = ud;
  char data[88];
  iu_status status = IU_OK;
  (void)args;
  memset(data, 'x', sizeof data);
  for (long i = 1; i <= *count && status == IU_OK; i++) {
    iu_arg columns[2] = {iu_arg_u64((uint64_t)i), iu_arg_text_n(data, sizeof data)};
    status = iu_ctx_insert(ctx, "blob", columns, 2, NULL, err);
  }
  return status;
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  char path[4096];
  iu_options options = iu_options_default();
  iu_module *module = NULL;
  iu_runtime *rt = NULL;
  iu_universe *u = NULL;
  iu_error err;
  double started = 0, ended = 0;
  if (argc != 3) return 2;
  long count = atol(argv[2]);
  snprintf(path, sizeof path, "%s/bulk.universe", argv[1]);
  iu_status status = iu_module_new("bulk", &module, &err);
  if (status == IU_OK) status = iu_module_table(module, "blob", 0, &err);
  if (status == IU_OK) status = iu_module_column(module, "blob", "id", "u64", IU_COLUMN_PRIMARY_KEY, NULL, &err);
  if (status == IU_OK) status = iu_module_column(module, "blob", "data", "string", 0, NULL, &err);
  if (status == IU_OK) status = iu_module_reducer(module, "bulk", NULL, 0, bulk, &count, &err);
  options.modules = &module;
  options.module_count = 1;
  options.no_nerv = true;
  if (status == IU_OK) status = iu_runtime_new(NULL, &rt, &err);
  if (status == IU_OK) status = iu_open(rt, path, &options, &u, &err);
  if (status == IU_OK) {
    started = seconds();
    status = iu_call(u, "bulk", NULL, 0, 0, &err);
    ended = seconds();
  }
  if (status == IU_OK) status = iu_close(u, &err);
  if (status == IU_OK) printf("%.6f\n", ended - started);
  else fprintf(stderr, "%s: %s\n", iu_status_kind(status), err.message);
  iu_free(u);
  iu_module_free(module);
  iu_runtime_free(rt, NULL);
  return status != IU_OK;
}
