# Python's json and hashlib: python3 json_hash.py hash DOCUMENT FOLDER COUNT prints the seconds, then the beginning of the hash as a number.
import hashlib
import json
import sys
import time

with open(sys.argv[2], encoding="utf-8") as file:
    value = json.load(file)
started = time.perf_counter()
digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
print(time.perf_counter() - started, int(digest[:12], 16))
