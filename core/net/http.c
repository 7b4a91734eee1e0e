/* http.c: see http.h. The connection is link.c's; this gathers the answer and watches the clock. */
#include "http.h"

#include <stdio.h>
#include <string.h>

#include "../base/alloc.h"
#include "link.h"

struct iu_http {
  iu__link *link;
  iu_http_config config; /* callbacks and numbers; its pointers are not kept */
  iu_timer *timer;
  uint8_t *request_body;
  iu_buf body;
  int status;
  char content_type[IU_HTTP_HEADER_MAX], identity[IU_HTTP_HEADER_MAX], token[IU_HTTP_HEADER_MAX];
  uint32_t depth;        /* of calls that touch it when they come back */
  bool released, done;
};

static void http_stop(iu_http *h) {
  iu__link_close(h->link);
  h->link = NULL;
  iu__timer_close(h->timer);
  h->timer = NULL;
}

static void http_leave(iu_http *h) {
  if (--h->depth != 0 || !h->released) return;
  iu__free(h->request_body);
  iu__buf_free(&h->body);
  iu__free(h);
}

void iu__http_release(iu_http *h) {
  if (h == NULL || h->released) return;
  h->depth++;
  h->released = h->done = true;
  http_stop(h);
  http_leave(h);
}

static void http_done(iu_http *h, const iu_error *err) {
  iu_http_answer answer = {.status = h->status, .body = h->body.data, .body_len = h->body.len,
                           .content_type = h->content_type, .identity = h->identity, .token = h->token,
                           .sent = h->link != NULL && iu__link_sent(h->link)};
  if (h->done) return;
  h->done = true;
  http_stop(h);
  h->config.on_done(h->config.ud, h, err, &answer);
}

static void http_fail(iu_http *h, iu_status status, const char *text) {
  iu_error err;
  iu__error_clear(&err);
  iu__fail(&err, status, "%s", text);
  http_done(h, &err);
}

static void on_late(void *ud) {
  iu_http *h = ud;
  char text[96];
  h->depth++;
  snprintf(text, sizeof text, "the HTTP request was not done after %llu ms", (unsigned long long)h->config.timeout_ms);
  http_fail(h, IU_E_TIMEOUT, text);
  http_leave(h);
}

static void on_head(void *ud, int status) {
  iu_http *h = ud;
  h->status = status;
  if (status == 101) { /* such a body has no end */
    h->depth++;
    http_fail(h, IU_E_CONNECTION, "the server answered 101 and changed the protocol, which was not asked for");
    http_leave(h);
    return;
  }
  iu__link_header(h->link, "content-type:", h->content_type, sizeof h->content_type);
  iu__link_header(h->link, "spacetime-identity:", h->identity, sizeof h->identity);
  iu__link_header(h->link, "spacetime-identity-token:", h->token, sizeof h->token);
}

static void on_bytes(void *ud, const uint8_t *bytes, size_t len) {
  iu_http *h = ud;
  iu_error err;
  h->depth++;
  if (h->config.on_data != NULL) {
    h->config.on_data(h->config.ud, h, bytes, len);
  } else {
    iu__buf_put(&h->body, bytes, len);
    iu__error_clear(&err);
    if (iu__buf_status(&h->body, &err, "the HTTP answer's body") != IU_OK) http_done(h, &err);
  }
  http_leave(h);
}

static void on_writable(void *ud) { (void)ud; }

static void on_end(void *ud, const iu_error *err) {
  iu_http *h = ud;
  h->depth++;
  http_done(h, err);
  http_leave(h);
}

static iu_status http_open(iu_http *h, iu_loop *loop, const iu_http_config *config, iu_error *err) {
  bool follows = config->on_data != NULL && config->timeout_ms == 0;
  iu__link_config link = {.method = config->method != NULL ? config->method : "GET", .body = h->request_body, .body_len = config->body_len,
                          .tls = &config->tls, .owner = {h, on_head, on_bytes, on_writable, on_end}};
  iu__url url;
  iu_buf headers = {0};
  iu_status status = iu__url_parse(config->url, &url, err);
  if (status == IU_OK && url.websocket) status = iu__fail(err, IU_E_VALIDATION, "url: http:// or https:// is expected");
  if (status == IU_OK) status = iu__link_headers(&headers, config->headers, config->header_count, err);
  iu__buf_put_u8(&headers, '\0');
  if (status == IU_OK) status = iu__buf_status(&headers, err, "request headers");
  link.url = &url;
  link.headers = (const char *)headers.data;
  link.head_timeout_ms = follows ? IU_HTTP_TIMEOUT_MS : 0;
  if (status == IU_OK && !follows) status = iu__timer_start(loop, h->config.timeout_ms, 0, on_late, h, &h->timer, err);
  if (status == IU_OK) status = iu__link_open(loop, &link, &h->link, err);
  iu__buf_free(&headers);
  return status;
}

iu_status iu__http_start(iu_loop *loop, const iu_http_config *config, iu_http **out, iu_error *err) {
  iu_http *h = iu__alloc_zero(1, sizeof *h);
  iu_status status = IU_OK;
  *out = NULL;
  if (h == NULL) return iu__fail_nomem(err);
  h->config = *config;
  if (h->config.timeout_ms == 0) h->config.timeout_ms = IU_HTTP_TIMEOUT_MS;
  iu__buf_init(&h->body, config->max_body != 0 ? config->max_body : IU_HTTP_BODY_MAX);
  if (config->body_len != 0) {
    h->request_body = iu__alloc(config->body_len);
    if (h->request_body == NULL) status = iu__fail_nomem(err);
    else memcpy(h->request_body, config->body, config->body_len);
  }
  if (status == IU_OK) status = http_open(h, loop, config, err);
  if (status != IU_OK) {
    iu__http_release(h);
    return status;
  }
  *out = h;
  return IU_OK;
}
