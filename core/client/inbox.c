/* inbox.c: what was received or happened and was not told yet, in order. Messages are copied here, large ones taken; past the cap the socket is not
 * read, and again below half of it. */
#include "../base/alloc.h"
#include "internal.h"

#define TAKEN_MIN (64u * 1024u) /* a larger message's buffer is taken over where there is one; copying a smaller one costs less than a new buffer */

void iu__inbox_post(iu_client *c) {
  if (!c->base.closed) iu__job_post(c->config.loop, &c->job);
}

static void push(iu_client *c, iu_in *item) {
  item->next = NULL;
  if (c->last != NULL) c->last->next = item;
  else c->first = item;
  c->last = item;
  iu__inbox_post(c);
}

bool iu__inbox_message(iu_client *c, iu_ws *ws, const uint8_t *bytes, size_t len) {
  bool large = len >= TAKEN_MIN;
  iu_in *item = iu__alloc(sizeof *item + (large ? 0 : len));
  if (item == NULL) return false;
  *item = (iu_in){.kind = IU_IN_MESSAGE, .len = len};
  if (large && iu__ws_take_message(ws, bytes, &item->taken)) {
    item->bytes = item->taken.data;
  } else if (large) {
    iu__buf_put(&item->taken, bytes, len);
    if (item->taken.failed) {
      iu__buf_free(&item->taken);
      iu__free(item);
      return false;
    }
    item->bytes = item->taken.data;
  } else {
    if (len != 0) memcpy(item->copied, bytes, len);
    item->bytes = item->copied;
  }
  push(c, item);
  iu__early_whole(c, item);
  c->in_bytes += len;
  if (c->in_bytes > c->config.incoming_bytes_max && !c->paused && c->ws != NULL) {
    c->paused = true;
    iu__ws_pause(c->ws, true);
  }
  return true;
}

void iu__inbox_note(iu_client *c, iu_note_kind kind) {
  iu_note *note = &c->notes[kind];
  if (note->queued) return;
  note->queued = true;
  note->in.kind = IU_IN_NOTE;
  note->in.len = kind;
  push(c, &note->in);
}

iu_in *iu__inbox_take(iu_client *c) {
  iu_in *item = c->first;
  if (item == NULL) return NULL;
  c->first = item->next;
  if (c->first == NULL) c->last = NULL;
  if (item->kind == IU_IN_NOTE) c->notes[item->len].queued = false;
  return item;
}

void iu__inbox_done(iu_client *c, iu_in *item) {
  if (item->kind == IU_IN_NOTE) return;
  c->in_bytes -= item->len;
  iu__buf_free(&item->taken);
  iu__free(item);
  if (c->paused && c->in_bytes <= c->config.incoming_bytes_max / 2) {
    c->paused = false;
    if (c->ws != NULL) iu__ws_pause(c->ws, false);
  }
}

void iu__inbox_drop_heard(iu_client *c) {
  iu_in **link = &c->first, *last = NULL;
  iu__early_end(c);
  while (*link != NULL) {
    iu_in *item = *link;
    if (item->kind == IU_IN_NOTE && item->len != IU_NOTE_SCHEMA) {
      last = item;
      link = &item->next;
      continue;
    }
    *link = item->next;
    if (item->kind == IU_IN_NOTE) c->notes[item->len].queued = false; /* an answer to the lost connection's question is none to the next one's */
    iu__inbox_done(c, item);
  }
  c->last = last;
}
