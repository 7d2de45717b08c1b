# shellcheck shell=sh
# Stands before a `hostenv` program: every call is passed on to it as it is, but
# that of the sub-command deploy, of which hostenv_deploy decides. A sub-command
# is the first argument that is no option; the options of hostenv that take a
# value are known here, for a value may be called deploy, too.
hostenv_program=@hostenv@

hostenv_number=0 # of the argument looked at
hostenv_at=0     # of the sub-command deploy
hostenv_skip=no  # whether the next argument is an option's value
hostenv_rest=no  # whether options have ended
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
  # A function, for its arguments are its own: the call may yet go on as it is.
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
