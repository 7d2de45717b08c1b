# shellcheck shell=sh disable=SC2016 # backquotes in texts for people
# The replacement of `hostenv deploy`, for any POSIX shell (bash, dash), with or
# without `set -eu`. The arguments are those for `hostenv-provider deploy`. The
# function returns only if the old `hostenv deploy` should run.
#
# HOSTENV_DEPLOY sets the mode. If it is unset or empty, the mode is the one that
# the provider chose:
#
#   warn     warn, and run the old `hostenv deploy`
#   forward  warn, and run `hostenv-provider deploy` if that program is in PATH and
#            the current folder is a provider's: it holds flake.nix,
#            generated/plan.json and generated/state.json. Otherwise run the old
#            `hostenv deploy`
#   off      fail, and name the command to use instead
#
# `exec` replaces this process: hostenv-provider gets the terminal, standard input
# and signals, and its exit code is the result.
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
