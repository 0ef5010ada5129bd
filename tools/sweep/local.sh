#!/usr/bin/env bash
# local.sh BUILD [ROWS]: a bounded sweep in a Slurm of one node, made for it on this machine and ended with it: four
# array tasks of the differential over rows, one killed and resumed; and tasks of every mode with a planted wrong
# answer, which is found and reduced. Needs root, for munged and slurmd. Ports, folders and keys are its own.
set -uo pipefail
source=$(realpath "$(dirname "$0")/../..")
. "$source/tests/support/check.sh"
export PATH=$PATH:/usr/sbin
build=$(realpath "$1")
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
for ((i = 0; i < 300; i++)); do
    [ -S "$work/munge/socket" ] && break
    sleep 0.2
done
slurmctld -D -f "$work/slurm.conf" > "$work/slurmctld.out" 2>&1 &
pids+=($!)
slurmd -D -f "$work/slurm.conf" -N "$name" > "$work/slurmd.out" 2>&1 &
pids+=($!)
for ((i = 0; i < 400; i++)); do
    sinfo -h -o %T 2> /dev/null | has idle && break
    sleep 0.3
done
sinfo -h -o %T 2> /dev/null | has idle || fail "the node does not come up"

# Rows: a task is killed when it has noted how far it is, and resumed.
rows=$work/some.hex few=$work/few.hex
xz -dc "${2:-$source/corpus/data/debian.hex.xz}" | awk 'NR % 97 == 0' > "$rows"
awk 'NR % 8 == 0' "$rows" > "$few"
cd "$work" || exit 1
# OUT OPTION... of task.sh; sbatch's own options are in $array.
submit() {
    out=$work/$1
    shift
    sbatch --parsable --requeue --output "$work/task-%A-%a.log" --cpus-per-task 1 --array="$array" \
        "$SWEEP_FOLDER/task.sh" "${mode[@]}" "$build" "$out" "$@"
}
array=0-3 mode=()
job=$(submit rows --rows "$rows" --per-row "${STATES:-1600}")
# It takes some seconds.
for ((i = 0; i < 2400; i++)); do
    [ -s "$work/rows/0.progress" ] && break
    [ ! -f "$work/rows/0.log" ] || break
    sleep 0.05
done
check "the first task is at work" yes "$([ -s "$work/rows/0.progress" ] && [ ! -f "$work/rows/0.log" ] && echo yes)"
scontrol requeue "${job}_0" 2> "$work/requeue.log"
check "it is killed, and queued again" 0 "$?"
sleep 1
check "so it is not done" yes "$([ ! -f "$work/rows/0.log" ] && echo yes)"

# Every other way, meanwhile, with a planted wrong answer each: of one state, or of all instructions of a name.
jobs=$job
array=0-1
jobs+=,$(PLANT='1:--inject flag' submit states --states 4096 --seed 9)
jobs+=,$(PLANT='1:--plant mov' submit alone --rows "$rows" --per-row 1)
mode=(--mode accesses)
jobs+=,$(PLANT='1:--plant mov' submit accesses --rows "$few")
mode=(--mode plans --pieces 2)
jobs+=,$(PLANT='1:--plant mov' submit plans --rows "$few")
mode=(--mode bodies)
jobs+=,$(PLANT='1:--plant mov' submit bodies --rows "$few")
fuzzers=(fuzz-decode fuzz-step)
"$SWEEP_FOLDER/fuzzers.sh" "$build" > "$work/fuzzers.log" 2>&1 || fuzzers=()
for fuzzer in "${fuzzers[@]}"; do
    mode=(--mode "$fuzzer")
    jobs+=,$(PLANT='1:--plant mov' submit "$fuzzer" --states 2000)
done
for ((i = 0; i < 2400; i++)); do
    [ -z "$(squeue -h -j "$jobs" 2> /dev/null)" ] && break
    # Slurm waits two minutes before a killed task begins again; the sweep need not.
    scontrol release "${job}_0" 2> /dev/null
    scontrol update JobId="${job}_0" StartTime=now 2> /dev/null
    sleep 0.5
done
"$SWEEP_FOLDER/merge.py" "$work/rows" > "$work/rows.txt"
check "rows: no difference, and no shard is missing" 0 "$?"
cat "$work/rows.txt"
check "rows: one task was started twice" 2 "$(wc -l < "$work/rows/0.starts")"
planted=("$work"/{states,alone,accesses,plans,bodies} "${fuzzers[@]/#/$work/}")
"$SWEEP_FOLDER/merge.py" --json "$work/report.json" "${planted[@]}" > "$work/planted.txt"
check "the wrong answers fail the sweep" 1 "$?"
cat "$work/planted.txt"
check "of random states one is reduced to a case of one batch" yes \
    "$(grep -q '^repeat: differential --seed 9 --batch [0-9]* --inject flag$' "$work/planted.txt" &&
        grep -qE '^  rflags +native [0-9a-f]+ stepped [0-9a-f]+$' "$work/planted.txt" && echo yes)"
for name in alone accesses plans bodies; do
    check "$name: rows are reduced to such as need no prefix, in one state" yes \
        "$(cd "$work/$name/differences" && grep -q '^DIFFERENCE' ./*.txt &&
            grep -qE "^repeat: echo (8[89ab]|c[67])( [0-9a-f]{2}){0,8} .*--per-row 1 --plant mov$" ./*.txt && echo yes)"
done
for fuzzer in "${fuzzers[@]}"; do
    check "$fuzzer: an input is reduced" yes \
        "$(grep -qE '^repeat: echo [0-9a-f]{2,20} \| xxd -r -p >input; .* --plant mov$' \
            "$work/$fuzzer"/differences/*.txt && echo yes)"
done
check "no other shard has a difference" 0 "$(cat "${planted[@]/%//0.log}" | grep -c '^DIFFERENCE')"
check "each way has covered MOV in each of its windows" yes "$(python3 - "$work/report.json" << 'PYTHON'
import json, sys
windows = {"differential": 1, "accesses": 1, "plans": 2, "bodies": 6}
for modes in json.load(open(sys.argv[1]))["coverage"].values():
    if all(sum("mov" in names.get("legacy", {}) for names in modes[mode].values()) >= count
           for mode, count in windows.items()):
        print("yes")
PYTHON
)"

# A program that dies at one row of many, and does not say at which.
mkdir -p "$work/fake/tests/differential"
cat > "$work/fake/tests/differential/plan_agrees" << 'FAKE'
#!/bin/sh
for option; do
    [ "$previous" != --shard ] || shard=$option
    previous=$option
done
[ $((37 % ${shard#*/})) != "${shard%/*}" ] || kill -SEGV $$
FAKE
chmod 755 "$work/fake/tests/differential/plan_agrees"
SHARD=1 SHARDS=4 "$SWEEP_FOLDER/task.sh" --mode plans "$work/fake" "$work/death" --rows "$few" > "$work/death.log" 2>&1
check "a death is reduced to its row" "plans-shard-37-of-16777216.txt" "$(ls "$work/death/differences")"
"$SWEEP_FOLDER/merge.py" "$work/death" > "$work/death.txt"
check "and fails the sweep" 1 "$?"
[ "$failed" = 0 ] || tail -n 5 "$work"/*.log
check_end
