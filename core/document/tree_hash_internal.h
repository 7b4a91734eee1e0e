/* tree_hash_internal.h: what tree_hash.c, tree_hash_node.c and tree_hash_digest.c share. */
#ifndef IU_DOCUMENT_TREE_HASH_INTERNAL_H
#define IU_DOCUMENT_TREE_HASH_INTERNAL_H

#include "tree.h"
#include "tree_hash.h"

#define GROUP 64      /* elements, and hashes, under one hash of an array */
#define BUCKET_MAX 32 /* members of an object under one hash */
#define FANOUT 16
#define NIBBLES 16    /* of the 64-bit hash of a key */
#define LEVELS_MAX 6  /* GROUP to that power is more than an array can have */
#define LONG_TEXT 64  /* longer strings stand as their own hash */
#define OPENED IU_J_ERROR

typedef struct hash_node hash_node;

/* A value in its container. An opened container has a node, another one and a long text a hash, which is owned. */
typedef struct slot {
  iu_json v; /* token OPENED: see node */
  union { hash_node *node; uint8_t *digest; } x;
} slot;

typedef struct entry { const char *key; uint32_t key_len; slot s; } entry;

/* Members whose keys' hashes begin alike: in key order while they are at most BUCKET_MAX, else by the next four bits of the hash. */
typedef struct branch {
  uint8_t digest[32];
  bool stale;
  uint32_t count, room;
  entry *entries;          /* or NULL: */
  struct branch **children; /* FANOUT of them, NULL where there is nothing */
} branch;

struct hash_node {
  uint8_t token;
  bool stale;
  uint8_t digest[32];
  /* an array: groups of GROUP elements, groups of those, and so on */
  slot *elements;
  uint32_t count, room, height; /* levels that are up to date but for stale groups; 0: none */
  uint8_t *stale_groups;
  uint8_t *levels[LEVELS_MAX];
  uint32_t level_rooms[LEVELS_MAX];
  /* an object */
  branch top;
};

struct iu_hash_tree {
  slot root;
  iu_arena arena;
  iu_buf scratch, segment;
  iu_error *err; /* of the present call */
};

/* tree_hash_node.c: all false or NULL: *t->err */
bool iu__hash_slot_fill(iu_hash_tree *t, slot *s, const iu_json *v);
void iu__hash_slot_clear(slot *s);
hash_node *iu__hash_slot_open(iu_hash_tree *t, slot *s); /* of a container */
slot *iu__hash_element(hash_node *n, uint32_t index);    /* to be changed */
bool iu__hash_insert(iu_hash_tree *t, hash_node *n, uint32_t index, const iu_json *value);
void iu__hash_remove(hash_node *n, uint32_t index);
slot *iu__hash_member(hash_node *n, const char *key, size_t len); /* to be changed; NULL: none */
bool iu__hash_add(iu_hash_tree *t, hash_node *n, const char *key, size_t len, const iu_json *value); /* the key is borrowed */
bool iu__hash_delete(iu_hash_tree *t, hash_node *n, const char *key, size_t len, bool *found);

static inline iu_json_token iu__hash_token(const slot *s) { return s->v.token == OPENED ? (iu_json_token)s->x.node->token : (iu_json_token)s->v.token; }

/* tree_hash_digest.c */
bool iu__hash_refresh(iu_hash_tree *t, hash_node *n);
bool iu__hash_slot_digest(iu_hash_tree *t, slot *s, uint8_t digest[32]);
bool iu__hash_text(iu_hash_tree *t, const void *bytes, size_t len, uint8_t digest[32]);

#endif
