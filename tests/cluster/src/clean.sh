# sh -c THIS clean STATE: when standard input closes (its owner let go, or died), ends the processes that STATE lists,
# removes their cgroups and STATE itself. Doing it twice does no harm.
trap '' HUP INT TERM
state=$1
case $state in */openteam-cluster-*) ;; *) echo "not a cluster's state: $state" >&2; exit 2 ;; esac
cat >/dev/null

# A process is the one that was started only if it began at the recorded tick: pids come round again.
if [ -f "$state/processes" ]; then
  while read -r pid began; do
    now=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 20)
    [ "$now" = "$began" ] && kill -9 "$pid"
  done <"$state/processes"
fi

# A cgroup goes only when its last process has been buried, which the kernel does in its own time.
if [ -f "$state/cgroups" ]; then
  while read -r dir; do
    tries=100
    while [ -d "$dir" ] && [ $tries -gt 0 ]; do
      find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
      tries=$((tries - 1))
    done
  done <"$state/cgroups"
fi

rm -rf "$state"
