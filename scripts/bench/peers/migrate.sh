#!/bin/sh
# SQLite's side of migrate_million: migrate.sh WORK FOLDER COUNT. The rows of the module's table; a column more, and its value for each, in one transaction.
set -eu
work=$1 folder=$2 count=$3
if [ "$work" = prepare_migrate ]; then
  sqlite3 "$folder/arena.sqlite" "PRAGMA journal_mode=WAL;
    CREATE TABLE player (id INTEGER PRIMARY KEY, name TEXT NOT NULL, guild TEXT NOT NULL, xp INTEGER NOT NULL);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $count)
      INSERT INTO player SELECT i, 'player ' || i, 'guild ' || (i % 100), i % 100000 FROM n;
    PRAGMA wal_checkpoint(TRUNCATE);" >/dev/null
  echo 1
  exit 0
fi
cp "$folder/arena.sqlite" "$folder/run.sqlite"
started=$(date +%s.%N)
sqlite3 "$folder/run.sqlite" "PRAGMA synchronous=FULL;
  BEGIN; ALTER TABLE player ADD COLUMN level INTEGER NOT NULL DEFAULT 0; UPDATE player SET level = xp / 100; COMMIT; PRAGMA wal_checkpoint(TRUNCATE);" >/dev/null
ended=$(date +%s.%N)
[ "$(sqlite3 "$folder/run.sqlite" "SELECT count(*) FROM player WHERE level = xp / 100")" = "$count" ]
rm -f "$folder/run.sqlite"*
awk "BEGIN { printf \"%.6f\\n\", $ended - $started }"
