#!/bin/sh
# Redis with the password from its environment, by standard input, so that it stands in no list of processes. Every
# write is on disk within a second, and nothing is thrown away to make room.
set -eu
exec docker-entrypoint.sh redis-server - <<END
dir /data
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
requirepass $REDISCLI_AUTH
END
