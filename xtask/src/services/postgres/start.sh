# Makes a Postgres server out of a folder, and becomes it.
#
# usage: sh -c "$(cat start.sh)" PROGRAM FOLDER SETTING ...
#
# The superuser's password is in LABS_PASSWORD. It must not stay in the environment: any
# process of the same user can read it there.
set -e
umask 077
folder=$1
shift
password=$LABS_PASSWORD
unset LABS_PASSWORD

# Debian keeps the server's other programs beside it and off the PATH; what is on the PATH
# may be a link.
case $0 in
*/*) PATH=$(dirname "$(readlink -f "$0")"):$PATH ;;
esac

# An image may bring a data directory that is ready. Whoever gets in is decided below.
data=$folder/data
if [ -w "${PGDATA:-$data}/PG_VERSION" ]; then
    data=$PGDATA
else
    initdb --pgdata="$data" --username=postgres --auth=trust --encoding=UTF8 --no-locale \
        --wal-segsize=1 --no-sync --no-instructions
fi
unset PGDATA

printf '%s\n' 'local all all scram-sha-256' 'host all all all scram-sha-256' \
    >"$folder/hba.conf"
# Killed in the middle, it would leave its shared memory in /dev/shm: in its folder it ends with
# that.
printf "ALTER ROLE postgres PASSWORD '%s'\n" "$password" |
    postgres --single -D "$data" -c fsync=off -c dynamic_shared_memory_type=mmap \
        postgres >/dev/null

exec postgres -D "$data" -c hba_file="$folder/hba.conf" "$@"
