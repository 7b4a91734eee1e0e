#!/bin/sh
# copy.sh WORK FOLDER COUNT: the peer of copy_million: the program sqlite3 over a file with the entities of the universe. `prepare_copy` makes it; `copy` creates
# another file with the same tables and indexes and inserts all rows of the first one (ATTACH, INSERT ... SELECT), synced, and prints the seconds.
set -e
work=$1 folder=$2 count=$3
source="$folder/source.sqlite" target="$folder/target.sqlite"

tables="CREATE TABLE %entity (id TEXT PRIMARY KEY, entity_type TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, name TEXT,
  description TEXT, tags TEXT NOT NULL, properties TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX %entity_type ON entity (entity_type); CREATE INDEX %entity_created ON entity (created_at);"
schema() { echo "$tables" | sed "s/%/$1/g"; }

if [ "$work" = prepare_copy ]; then
  sqlite3 "$source" "PRAGMA journal_mode=WAL;" >/dev/null
  { schema ""
    echo "BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $count)
      INSERT INTO entity SELECT printf('018f0000-%04x-7%03x-8000-%012x', i / 4096, i % 4096, i), 'Item', 1700000000000000 + i, 1700000000000000 + i,
      'item ' || i, NULL, '[\"bench\"]', printf('{\"number\":%d,\"weight\":%.1f}', i, i / 2.0) FROM n; COMMIT;"
  } | sqlite3 "$source"
  echo 0.0
  exit
fi

rm -f "$target" "$target"-*
sqlite3 "$target" "PRAGMA journal_mode=WAL;" >/dev/null
started=$(date +%s.%N)
{ echo "PRAGMA synchronous=FULL; ATTACH '$target' AS target; PRAGMA target.synchronous=FULL; BEGIN;"
  schema target.
  echo "INSERT INTO target.entity SELECT * FROM main.entity; COMMIT;"
} | sqlite3 "$source"
finished=$(date +%s.%N)
[ "$(sqlite3 "$target" 'SELECT count(*) FROM entity')" = "$count" ]
echo "$finished $started" | awk '{ printf "%.6f\n", $1 - $2 }'
rm -f "$target" "$target"-*
