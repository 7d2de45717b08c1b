# shellcheck shell=sh disable=SC2016 # backquotes in texts for people
# What `hostenv deploy` does, for a POSIX shell, whether it is bash or dash and
# with `set -eu` or without. It is called with the arguments of `hostenv-provider
# deploy`, and returns where the old `hostenv deploy` is to run.
#
# HOSTENV_DEPLOY says what to do, and where it is unset or empty the mode that
# the provider chose:
#
#   warn     warn, and go on as before
#   forward  warn, and leave it to `hostenv-provider deploy`, if there is such a
#            program and the current folder is a provider's: one that holds
#            flake.nix, generated/plan.json and generated/state.json. Elsewhere
#            go on as before
#   off      refuse, and say what to use
#
# The program takes this one's place: it has the terminal, standard input and
# signals, and its exit code is the answer.
hostenv_deploy_mode=@mode@
hostenv_deploy() {
  case ${HOSTENV_DEPLOY:-$hostenv_deploy_mode} in
  warn | forward | off) ;;
  *)
    printf 'hostenv: HOSTENV_DEPLOY is "%s", and can be warn, forward or off\n' "${HOSTENV_DEPLOY:-$hostenv_deploy_mode}" >&2
    exit 2
    ;;
  esac
  if [ "${HOSTENV_DEPLOY:-$hostenv_deploy_mode}" = off ]; then
    printf '%s\n' \
      'hostenv: `hostenv deploy` is switched off: what it brings to a node, the next deploy of the provider takes back' \
      'hostenv: push your branch, and let the provider deploy it: `hostenv-provider deploy` in the folder of the provider'"'"'s flake' >&2
    exit 1
  fi
  printf '%s\n' \
    'hostenv: warning: `hostenv deploy` is deprecated: use `hostenv-provider deploy` in the folder of the provider'"'"'s flake (HOSTENV_DEPLOY=off refuses the old one)' >&2
  if [ "${HOSTENV_DEPLOY:-$hostenv_deploy_mode}" = forward ] &&
    [ -f flake.nix ] && [ -f generated/plan.json ] && [ -f generated/state.json ] &&
    command -v hostenv-provider >/dev/null 2>&1; then
    exec hostenv-provider deploy "$@"
  fi
}
