#!/usr/bin/env bash
# local.sh BUILD [ROWS]: a bounded sweep in a Slurm of one node, made for it on this machine and ended with it: four
# array tasks over rows, one killed and resumed; and four over random states, one with a planted wrong answer, which is
# found and reduced. Needs root, for munged and slurmd. Ports, folders and keys are its own.
set -uo pipefail
source=$(realpath "$(dirname "$0")/../..")
. "$source/tests/support/check.sh"
export PATH=$PATH:/usr/sbin
build=$(realpath "$1")
differential=$build/tests/differential/differential
work=$(mktemp -d)
chmod 755 "$work"
export SWEEP_FOLDER=$source/tools/sweep SLURM_CONF=$work/slurm.conf
pids=()
end() {
    # No task outlives the Slurm that it runs in.
    scancel --user root > /dev/null 2>&1
    for ((i = 0; i < 50; i++)); do
        [ -z "$(squeue -h 2> /dev/null)" ] && break
        sleep 0.2
    done
    for pid in "${pids[@]}"; do
        kill "$pid" 2> /dev/null
    done
    wait 2> /dev/null
    rm -rf "$work"
}
trap end EXIT
fail() {
    echo "local.sh: $*" >&2
    tail -q -n 15 "$work"/*.log >&2
    exit 1
}

# munged wants a key and folders that no one else may write.
name=$(hostname -s)
port=$((27000 + 2 * ($$ % 1000)))
mkdir -m 755 "$work/munge" "$work/state" "$work/spool"
dd if=/dev/urandom of="$work/munge/key" bs=1024 count=1 2> /dev/null
chmod 400 "$work/munge/key"
munged --foreground --force --key-file "$work/munge/key" --socket "$work/munge/socket" --pid-file "$work/munge/pid" \
    --seed-file "$work/munge/seed" --log-file "$work/munged.log" --num-threads 1 > "$work/munged.out" 2>&1 &
pids+=($!)
cat > "$work/slurm.conf" << CONF
ClusterName=sweep
SlurmctldHost=$name(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
SlurmUser=root
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1
MinJobAge=300
NodeName=$name NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=sweep Nodes=$name Default=YES MaxTime=60 State=UP OverSubscribe=NO
CONF
for ((i = 0; i < 50; i++)); do
    [ -S "$work/munge/socket" ] && break
    sleep 0.2
done
slurmctld -D -f "$work/slurm.conf" > "$work/slurmctld.out" 2>&1 &
pids+=($!)
slurmd -D -f "$work/slurm.conf" -N "$name" > "$work/slurmd.out" 2>&1 &
pids+=($!)
for ((i = 0; i < 100; i++)); do
    sinfo -h -o %T 2> /dev/null | has idle && break
    sleep 0.3
done
sinfo -h -o %T 2> /dev/null | has idle || fail "the node does not come up"

# Rows: a task is killed when it has noted how far it is, and resumed.
rows=$work/some.hex
xz -dc "${2:-$source/corpus/data/debian.hex.xz}" | awk 'NR % 97 == 0' > "$rows"
cd "$work" || exit 1
submit() {
    sbatch --parsable --requeue --output "$work/task-%A-%a.log" --cpus-per-task 1 "$@"
}
job=$(submit --array=0-3 "$SWEEP_FOLDER/task.sh" "$differential" "$work/rows" --rows "$rows" --per-row "${STATES:-400}")
for ((i = 0; i < 600; i++)); do
    [ -s "$work/rows/0.progress" ] && break
    [ ! -f "$work/rows/0.log" ] || break
    sleep 0.2
done
check "the first task is at work" yes "$([ -s "$work/rows/0.progress" ] && [ ! -f "$work/rows/0.log" ] && echo yes)"
scontrol requeue "${job}_0" 2> "$work/requeue.log"
check "it is killed, and queued again" 0 "$?"
sleep 1
check "so it is not done" yes "$([ ! -f "$work/rows/0.log" ] && echo yes)"

# The planted wrong answer, meanwhile.
other=$(PLANT=2:flag submit --array=0-3 "$SWEEP_FOLDER/task.sh" "$differential" "$work/states" --states 8192 --seed 9)
for ((i = 0; i < 2400; i++)); do
    [ -z "$(squeue -h -j "$job,$other" 2> /dev/null)" ] && break
    # Slurm waits two minutes before a killed task begins again; the sweep need not.
    scontrol release "${job}_0" 2> /dev/null
    scontrol update JobId="${job}_0" StartTime=now 2> /dev/null
    sleep 0.5
done
"$SWEEP_FOLDER/merge.py" "$work/rows" 4 > "$work/rows.txt"
check "rows: no difference, and no shard is missing" 0 "$?"
cat "$work/rows.txt"
check "rows: one task was started twice" 2 "$(wc -l < "$work/rows/0.starts")"
"$SWEEP_FOLDER/merge.py" "$work/states" 4 > "$work/states.txt"
check "states: the wrong answer fails the sweep" 1 "$?"
cat "$work/states.txt"
check "states: it is reduced to one case of one batch" yes \
    "$(grep -q '^repeat: differential --seed 9 --batch [0-9]* --inject flag$' "$work/states.txt" &&
        grep -qE '^  rflags +native [0-9a-f]+ stepped [0-9a-f]+$' "$work/states.txt" && echo yes)"
check "states: the other shards are clean" 0 "$(cat "$work"/states/[013].log | grep -c '^DIFFERENCE')"
[ "$failed" = 0 ] || tail -n 5 "$work"/*.log
check_end
