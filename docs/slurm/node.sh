#!/bin/bash
# What one node runs, started by train.sbatch: torchrun, and a way past it for signals.
#
# A signal that reaches torchrun makes it give its processes 30 seconds and then SIGKILL, and
# SIGUSR1, unless it is told about it, ends torchrun alone and leaves them behind. So signals
# go to torchrun's children, and torchrun merely sees them end.

gpus=${SLURM_GPUS_ON_NODE:-8}
end_points=(--nnodes "${SLURM_NNODES:-1}" --rdzv-backend c10d
    --rdzv-endpoint "${RDZV_HOST:-localhost}:${RDZV_PORT:-29500}" --rdzv-id "${SLURM_JOB_ID:-0}")

# Ignored by torchrun in case SLURM signals every process of the step; train.py sets its own.
(
    trap '' USR1
    exec torchrun "${end_points[@]}" --nproc_per_node "$gpus" train.py "$@"
) &
launcher=$!

to_children() {  # as pkill -P does, which not every system has
    # shellcheck disable=SC2046
    kill -s "$1" $(cat /proc/"$launcher"/task/*/children 2>/dev/null) 2>/dev/null
}

asked=
trap 'asked=yes' USR1
trap 'to_children TERM' TERM

# Until train.py is in its loop SIGUSR1 passes it by: it is sent until somebody has listened.
while kill -0 "$launcher" 2>/dev/null; do
    if [ -n "$asked" ]; then
        to_children USR1
        sleep 5
    else
        wait "$launcher"
    fi
done
wait "$launcher"
