# One PostgreSQL server for one test binary: $1 is the directory with the programs,
# $2 a fresh directory that is ours. Each line of the input is a command; the answer
# is a line with its exit code. When the input ends, because the tests are over or
# because their process is gone, the server is stopped and the directory removed.
#
# Durability against a crash of the machine is off; synchronous_commit is not: what
# was committed must be there after an immediate stop. Shared memory is mapped files
# in the data directory, so that nothing can be left behind elsewhere.
bin=$1 dir=$2
pg_ctl() { "$bin/pg_ctl" -D "$dir/data" -s -w "$@"; }
while read -r verb port; do
  case $verb in
  init)
    # Texts sort as people sort them, as on most servers, where the build can do it
    # (PostgreSQL 15 and newer): who needs the order of bytes has to ask for it.
    icu=
    "$bin/initdb" --help | grep -q icu-locale && icu="--locale-provider=icu --icu-locale=en"
    "$bin/initdb" -D "$dir/data" --no-sync --no-locale $icu --encoding=UTF8 \
      --username=admin --auth=scram-sha-256 --pwfile="$dir/password"
    ;;
  start)
    pg_ctl start -l "$dir/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
      -c fsync=off -c full_page_writes=off -c max_connections=200 -c dynamic_shared_memory_type=mmap"
    ;;
  stop) pg_ctl stop -m immediate ;;
  esac >>"$dir/log" 2>&1 </dev/null
  echo $?
done
pg_ctl stop -m immediate >>"$dir/log" 2>&1
rm -rf "$dir"
