"""A batch system of shell scripts: `sbatch` starts the job on this machine, arrays and requeues included."""

import os
import stat
from pathlib import Path

SBATCH = r"""#!/usr/bin/env bash
# sbatch [options] [script] [arguments]: runs the job in the background and prints its number, as Slurm does.
set -u
root=__ROOT__
script= ; array= ; wait= ; arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    --parsable) ;;
    --wait) wait=1 ;;
    --array=*) array=${1#--array=} ;;
    --array) array=$2; shift ;;
    --*=*|-*) ;;
    *) script=$1; shift; arguments=("$@"); break ;;
  esac
  shift
done
number=$(( $(cat "$root/next" 2>/dev/null || echo 100) + 1 ))
echo "$number" >"$root/next"
copy=$root/job-$number.sh
if [ -z "$script" ]; then cat >"$copy"; else cp "$script" "$copy"; fi
[ -n "$array" ] || array=$(sed -n 's/^#SBATCH *--array[= ]*//p' "$copy" | head -1)
first=${array%%-*}
last=${array##*-}
last=${last%%%*}
one() {  # runs one task, again as long as it asks to be requeued
  export SLURM_JOB_ID=$number SLURM_JOB_NODELIST=localhost SLURM_NNODES=1
  if [ -n "$array" ]; then
    export SLURM_ARRAY_JOB_ID=$number SLURM_ARRAY_TASK_ID=$1 SLURM_ARRAY_TASK_MIN=$first SLURM_ARRAY_TASK_MAX=$last
    export SLURM_ARRAY_TASK_COUNT=$(( last - first + 1 ))
  fi
  while :; do
    rm -f "$root/requeue-$number-$1"
    setsid bash "$copy" ${arguments[@]+"${arguments[@]}"} >>"$root/out-$number-$1" 2>&1 &
    echo $! >"$root/pid-$number-$1"
    wait $!
    echo $? >>"$root/rc-$number-$1"
    [ -e "$root/requeue-$number-$1" ] || break
  done
}
( for (( task=${first:-0}; task<=${last:-0}; task++ )); do one "$task" & done; wait ) >/dev/null 2>&1 &
[ -z "$wait" ] || wait
echo "Submitted batch job $number"
"""
SCANCEL = r"""#!/usr/bin/env bash
# scancel [--batch] [--signal=NAME] NUMBER...: ends the jobs, or signals their steps, or with --batch their scripts.
signal=TERM
what=all
for word in "$@"; do
  case "$word" in
    --batch) what=script ;;
    --signal=*) signal=${word#--signal=}; [ "$what" = script ] || what=steps ;;
    [0-9]*)
      for file in __ROOT__/pid-"${word%%_*}"-*; do
        [ -e "$file" ] || continue
        case "$what" in
          all) pkill "-$signal" --session "$(cat "$file")" ;;
          script) kill "-$signal" "$(cat "$file")" ;;
          steps) kill "-$signal" "$(cat "${file/pid-/step-}")" ;;
        esac
      done ;;
  esac
done
exit 0
"""
SCONTROL = r"""#!/usr/bin/env bash
# scontrol requeue NUMBER: the task that asks is run again once it has ended. scontrol show hostnames: this machine.
case "$1" in
  requeue) touch "__ROOT__/requeue-${2%%_*}-${SLURM_ARRAY_TASK_ID:-0}" ;;
  show) echo localhost ;;
esac
"""
SRUN = r"""#!/usr/bin/env bash
# srun [options] command: runs the command, once, as a step of the job.
echo $$ >"__ROOT__/step-$SLURM_JOB_ID-${SLURM_ARRAY_TASK_ID:-0}"
while [ $# -gt 0 ]; do case "$1" in -*) shift ;; *) break ;; esac; done
exec "$@"
"""


def batch_system(folder: Path) -> dict[str, str]:
    """The environment in which commands of Slurm are found that run everything on this machine."""
    programs, root = folder / "bin", folder / "jobs"
    programs.mkdir(parents=True)
    root.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL), ("scontrol", SCONTROL), ("srun", SRUN)):
        path = programs / name
        path.write_text(text.replace("__ROOT__", str(root)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
