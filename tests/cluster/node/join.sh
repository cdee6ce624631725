# sh join.sh CGROUPS COMMAND...: becomes COMMAND inside the cgroups listed in the file CGROUPS, one directory a line
list=$1
shift
while read -r dir; do
  echo $$ >"$dir/cgroup.procs"
done <"$list"
exec "$@"
