/* message_internal.h: what the files of core/protocol share: reading with offsets in errors, one list of updates, JSON writing.
 *
 * A read_* or add_* function that answers false has filled in the error.
 */
#ifndef IU_PROTOCOL_MESSAGE_INTERNAL_H
#define IU_PROTOCOL_MESSAGE_INTERNAL_H

#include "compress.h"
#include "message.h"

typedef struct iu_input {
  iu_payload *payload;
  iu_reader *r;
  iu_error *err; /* never NULL */
} iu_input;

/* "expected WHAT at byte N" */
bool iu__input_bad(iu_input *in, size_t at, const char *what);
bool iu__input_tag(iu_input *in, uint8_t variants, uint8_t *tag, const char *what);
bool iu__input_u32(iu_input *in, uint32_t *v, const char *what);
bool iu__input_i64(iu_input *in, int64_t *v, const char *what);
bool iu__input_fixed(iu_input *in, void *out, size_t len, const char *what); /* out NULL: passed over */
bool iu__input_bytes(iu_input *in, iu_slice *v, const char *what);
bool iu__input_text(iu_input *in, iu_slice *v, const char *what);            /* UTF-8 */
/* The count of a list whose elements take at least `least` bytes each. */
bool iu__input_count(iu_input *in, size_t least, uint32_t *count, const char *what);
/* Option: tag 0 is some. */
bool iu__input_option_u32(iu_input *in, bool *some, uint32_t *v, const char *what);
bool iu__input_rows(iu_input *in, iu_row_list *rows);

/* Appends to the message's updates. */
bool iu__input_add(iu_input *in, const iu_table_update *update);

/* One message from in->r; kind and more into the zeroed *m. */
bool iu__read_v1(iu_input *in, iu_message *m);
bool iu__read_v2(iu_input *in, iu_message *m);
bool iu__read_json(iu_input *in, const iu_schema *schema, iu_message *m);

/* json_write.c: the same messages as the put functions. */
iu_status iu__json_put_call(iu_buf *b, const char *kind, const char *key, uint32_t request, const char *name, const iu_type *params, iu_slice args,
                            bool no_success_notify, iu_error *err);
void iu__json_put_subscribe(iu_buf *b, const char *kind, uint32_t request, const uint32_t *set, const iu_slice *queries, uint32_t count);
void iu__json_put_subscribe_single(iu_buf *b, uint32_t request, uint32_t set, iu_slice query);
void iu__json_put_unsubscribe(iu_buf *b, const char *kind, uint32_t request, uint32_t set);
void iu__json_put_one_off(iu_buf *b, uint32_t request, iu_slice sql);

/* module_def.c: ProductType itself as a type, made in the empty ts and linked. NULL and *err on no memory. */
const iu_type *iu__product_type_type(iu_typespace *ts, iu_error *err);

/* module_def_v10.c: a definition of version 10 as one of version 9 (both SATS-JSON), appended to `v9`; the names of its event tables, each with a NUL behind
 * it, to `events`; of each view that has a key its name and the key's column, each with a NUL behind it, to `keys`. */
bool iu__module_def_is_v10(const void *json, size_t len);
iu_status iu__module_def_v10(const void *json, size_t len, iu_buf *v9, iu_buf *events, iu_buf *keys, iu_error *err);

#endif
