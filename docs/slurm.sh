#!/bin/bash
# Four machines of eight GPUs each: sbatch docs/slurm.sh
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=96
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@300
# Five minutes before its time is up every rank is told to save and end, and the job is queued again: it finds its run
# by its number, and goes on. `tui-trainer attach runs/NUMBER` watches and steers it from any machine of the disk.

export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1   # a restart must not meet the addresses of dead processes
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=240     # seconds to save before torchrun kills
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK   # srun does not take it from sbatch by itself
export OMP_NUM_THREADS=$((SLURM_CPUS_PER_TASK / 8))
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((29400 + SLURM_JOB_ID % 1000))         # two jobs on one machine do not meet

srun --kill-on-bad-exit=0 torchrun \
    --nnodes="$SLURM_NNODES" --nproc-per-node=8 --max-restarts=3 \
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first:$port" \
    -m tui_trainer --no-tui -c run.toml --output-dir "$SLURM_SUBMIT_DIR/runs/$SLURM_JOB_ID" &
child=$!
trap 'again=yes; kill -TERM $child' TERM
wait $child; wait $child
[ -z "$again" ] || scontrol requeue "$SLURM_JOB_ID"
