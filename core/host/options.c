/* options.c: the host's options: a copy as large as this library knows, checked; and what they mean to either world. */
#include <stdlib.h>

#include <stdio.h>

#include "../query/suggest.h"
#include "internal.h"

/* The position of a word in a list that ends with NULL; 0 where there is none. */
static iu_status word(const char *name, const char *text, const char *const *list, int *out, iu_error *err) {
  iu_suggest suggest;
  char suggestion[IU_SUGGESTION_MAX], shown[40 * 4 + 4], words[128] = "";
  *out = 0;
  if (text == NULL) return IU_OK;
  iu__suggest_init(&suggest, text, strlen(text));
  for (int i = 0; list[i] != NULL; i++) {
    if (strcmp(list[i], text) == 0) {
      *out = i;
      return IU_OK;
    }
    iu__suggest_offer(&suggest, list[i]);
    size_t at = strlen(words);
    snprintf(words + at, sizeof words - at, "%s%s", i > 0 ? ", " : "", list[i]);
  }
  return iu__fail(err, IU_E_VALIDATION, "options: %s: one of %s expected, got `%s`%s", name, words, iu__printable(shown, 40, text, strlen(text)),
                  iu__suggest_text(&suggest, suggestion));
}

static iu_status only(const char *name, bool given, const char *whom, iu_error *err) {
  return given ? iu__fail(err, IU_E_VALIDATION, "options: %s: for %s only", name, whom) : IU_OK;
}

/* What the other kind of target would take is said so. */
static iu_status check_kind(const iu_options *o, bool server, iu_error *err) {
  const struct { const char *name; bool given; } embedded[] = {
      {"durability", o->durability != NULL}, {"flush_interval_ms", o->flush_interval_ms != 0}, {"fold_bytes", o->fold_bytes != 0},
      {"pending_bytes_max", o->pending_bytes_max != 0}, {"modules", o->module_count != 0}, {"no_nerv", o->no_nerv},
      {"recover", o->recover != NULL}, {"snapshot", o->snapshot}};
  const struct { const char *name; bool given; } remote[] = {
      {"background", o->background}, {"token", o->token != NULL}, {"token_file", o->token_file != NULL}, {"protocol", o->protocol != NULL},
      {"compression", o->compression != NULL}, {"light", o->light}, {"confirmed", o->confirmed != 0}, {"connect_timeout_ms", o->connect_timeout_ms != 0},
      {"ping_interval_ms", o->ping_interval_ms != 0}, {"idle_timeout_ms", o->idle_timeout_ms != 0}, {"no_reconnect", o->no_reconnect},
      {"retry_first", o->retry_first}, {"attempts_max", o->attempts_max != 0}, {"delay_min_ms", o->delay_min_ms != 0},
      {"delay_max_ms", o->delay_max_ms != 0}, {"away", o->away != NULL}, {"away_calls_max", o->away_calls_max != 0},
      {"away_bytes_max", o->away_bytes_max != 0}, {"in_flight_max", o->in_flight_max != 0}, {"outgoing_bytes_max", o->outgoing_bytes_max != 0},
      {"incoming_bytes_max", o->incoming_bytes_max != 0}, {"message_bytes_max", o->message_bytes_max != 0},
      {"answer_bytes_max", o->answer_bytes_max != 0}, {"ca_file", o->ca_file != NULL}, {"insecure", o->insecure}, {"owner", o->owner}};
  for (size_t i = 0; server && i < sizeof embedded / sizeof *embedded; i++) {
    if (only(embedded[i].name, embedded[i].given, "embedded universes", err) != IU_OK) return IU_E_VALIDATION;
  }
  for (size_t i = 0; !server && i < sizeof remote / sizeof *remote; i++) {
    if (only(remote[i].name, remote[i].given, "servers", err) != IU_OK) return IU_E_VALIDATION;
  }
  return IU_OK;
}

iu_status iu__options_read(const iu_options *given, bool server, iu_options *out, iu_error *err) {
  *out = iu_options_default();
  if (given == NULL) return IU_OK;
  if (given->size == 0) return iu__fail(err, IU_E_VALIDATION, "options: size: it is 0 (start from iu_options_default)");
  memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
  for (size_t i = sizeof *out; i < given->size; i++) { /* a newer header: fine as long as it asks for nothing new */
    if (((const uint8_t *)given)[i] != 0) return iu__fail(err, IU_E_VALIDATION, "options: byte %zu is set, and this library does not know that field", i);
  }
  return check_kind(out, server, err);
}

iu_status iu__options_engine(const iu_options *o, iu_engine_config *config, iu_error *err) {
  static const char *const words[] = {"normal", "full", "off", NULL};
  static const char *const recoveries[] = {"no", "prefix", NULL};
  static const iu_durability durabilities[] = {IU_DUR_NORMAL, IU_DUR_FULL, IU_DUR_OFF};
  int which, recovery = 0;
  iu_status status = word("durability", o->durability, words, &which, err);
  if (status == IU_OK) status = word("recover", o->recover, recoveries, &recovery, err);
  if (status == IU_OK && o->snapshot && o->recover != NULL) {
    status = iu__fail(err, IU_E_VALIDATION, "options: recover: a snapshot is in memory, and changes no file");
  }
  if (status == IU_OK && config->path == NULL && (o->snapshot || o->recover != NULL)) {
    status = iu__fail(err, IU_E_VALIDATION, "options: %s: a file as target expected, got memory:", o->snapshot ? "snapshot" : "recover");
  }
  if (status != IU_OK) return status;
  config->durability = durabilities[which];
  config->snapshot = o->snapshot;
  config->recover_prefix = recovery == 1;
  if (o->flush_interval_ms != 0) config->flush_interval_ms = o->flush_interval_ms;
  config->fold_bytes = o->fold_bytes;
  config->pending_bytes_max = o->pending_bytes_max;
  return IU_OK;
}

static iu_status read_protocol(const iu_options *o, iu_client_config *config, iu_error *err) {
  static const char *const words[] = {"v1", "v2", "v3", "v1.json", NULL};
  static const iu_protocol protocols[] = {IU_P_V1, IU_P_V2, IU_P_V3, IU_P_V1_JSON};
  int which;
  iu_status status = word("protocol", o->protocol, words, &which, err);
  config->has_protocol = o->protocol != NULL;
  config->protocol = protocols[which];
  return status;
}

static size_t size_of(uint64_t bytes) { return bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX; }

iu_status iu__options_client(const iu_options *o, iu_client_config *config, iu_error *err) {
  static const char *const compressions[] = {"none", "gzip", "brotli", NULL}, *const aways[] = {"refuse", "queue", NULL};
  int compression = 0, away = 0;
  iu_status status = read_protocol(o, config, err);
  if (status == IU_OK) status = word("compression", o->compression, compressions, &compression, err);
  if (status == IU_OK) status = word("away", o->away, aways, &away, err);
  if (status == IU_OK && (o->confirmed < -1 || o->confirmed > 1)) {
    status = iu__fail(err, IU_E_VALIDATION, "options: confirmed: expected -1, 0 or 1, got %d", o->confirmed);
  }
  config->token = o->token;
  config->token_file = o->token_file;
  config->compression = (iu_client_compression)compression;
  config->light = o->light;
  config->confirmed = o->confirmed;
  config->connect_timeout_ms = o->connect_timeout_ms;
  config->ping_interval_ms = o->ping_interval_ms;
  config->idle_timeout_ms = o->idle_timeout_ms;
  config->no_reconnect = o->no_reconnect;
  config->retry_first = o->retry_first;
  config->attempts_max = o->attempts_max;
  config->delay_min_ms = o->delay_min_ms;
  config->delay_max_ms = o->delay_max_ms;
  config->away = (iu_client_away)away;
  config->away_calls_max = o->away_calls_max;
  config->away_bytes_max = size_of(o->away_bytes_max);
  config->in_flight_max = o->in_flight_max;
  config->outgoing_bytes_max = size_of(o->outgoing_bytes_max);
  config->incoming_bytes_max = size_of(o->incoming_bytes_max);
  config->message_bytes_max = size_of(o->message_bytes_max);
  config->answer_bytes_max = size_of(o->answer_bytes_max);
  config->is_owner = o->owner;
  config->tls.ca_file = o->ca_file;
  config->tls.insecure = o->insecure;
  return status;
}
