trap 'echo usr1' USR1
trap 'echo usr2; trap - USR2' USR2
trap '' HUP
for i in 1 2 3 4 5; do kill -USR1 $$; done
kill -USR2 $$
kill -HUP $$
trap 'echo child' CHLD
set -m
sleep 0.1 &
wait
trap - CHLD
(trap 'echo term; exit 7' TERM; kill -TERM $BASHPID; sleep 1); echo $?
bash -c 'kill -PIPE $$'; echo $?
trap 'echo interrupted' INT
kill -INT $$
trap 'echo debugging' DEBUG; :; trap - DEBUG
trap 'echo error' ERR; false; trap - ERR
# With job control bash 5.2 may lose the job that wait -f waits for, and then it tries for ever.
set +m
sleep 30 & sleep 0.1; kill -STOP $!; kill -CONT $!; kill -TERM $!; wait $!; echo $?
yes | head -1; echo "${PIPESTATUS[@]}"
trap 'echo at exit $?' EXIT
kill -TERM $$
