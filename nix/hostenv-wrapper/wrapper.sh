# shellcheck shell=sh
# Wraps a `hostenv` program: passes every call on unchanged, except the sub-command
# deploy, which goes to hostenv_deploy first. The sub-command is the first argument
# that is not an option. The script must know the options of hostenv that take a
# value, because a value may also be "deploy".
hostenv_program=@hostenv@

hostenv_number=0 # position of the current argument
hostenv_at=0     # position of the sub-command deploy, 0 if there is none
hostenv_skip=no  # whether the next argument is an option's value
hostenv_rest=no  # whether the options have ended
for hostenv_argument; do
  hostenv_number=$((hostenv_number + 1))
  if [ "$hostenv_skip" = yes ]; then
    hostenv_skip=no
    continue
  fi
  if [ "$hostenv_rest" = no ]; then
    case $hostenv_argument in
    --) hostenv_rest=yes && continue ;;
    -e | --env | --tty_mode) hostenv_skip=yes && continue ;;
    -?*) continue ;;
    esac
  fi
  if [ "$hostenv_argument" = deploy ]; then
    hostenv_at=$hostenv_number
  fi
  break
done

if [ "$hostenv_at" != 0 ]; then
  # A function has its own arguments: those of the script are still needed, unchanged,
  # if the old `hostenv deploy` runs.
  hostenv_without() {
    hostenv_left=$#
    hostenv_number=0
    while [ "$hostenv_number" -lt "$hostenv_left" ]; do
      hostenv_number=$((hostenv_number + 1))
      hostenv_argument=$1
      shift
      if [ "$hostenv_number" != "$hostenv_at" ]; then
        set -- "$@" "$hostenv_argument"
      fi
    done
    hostenv_deploy "$@"
  }
  hostenv_without "$@"
fi
exec "$hostenv_program" "$@"
