# shellcheck shell=bash
# What frame.sh needs for an environment's activation.
uid=@uid@

# setup sets what a login sets and `sudo -u` does not. It refuses to run as another
# user, as after `deploy --profile-user root`: the activation would run a customer's
# code with that user's rights.
setup() {
  if [ "$EUID" != "$uid" ]; then
    printf 'error: the environment %s has the uid %s, and is activated as uid %s\n' @user@ "$uid" "$EUID" >&2
    printf "hint: do not give deploy-rs --profile-user\n" >&2
    exit 1
  fi
  [ -O "${HOME:-}" ] || HOME=~@user@
  # Empty where hostenv's environment does not set it.
  local state=@stateDir@ data=@dataDir@ cache=@cacheDir@
  # An activation that restores data from another node takes longer.
  local restoring=@restoring@
  if [ -e "@runtime@/restore/plan.json" ] && [ "$limit" -lt "$restoring" ]; then limit=$restoring; fi
  : "${XDG_RUNTIME_DIR:=/run/user/$EUID}" "${XDG_CONFIG_HOME:=$HOME/.config}"
  : "${XDG_STATE_HOME:=${state:-$HOME/.local/state}}"
  : "${XDG_DATA_HOME:=${data:-$HOME/.local/share}}"
  : "${XDG_CACHE_HOME:=${cache:-$HOME/.cache}}"
  export HOME XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_STATE_HOME XDG_DATA_HOME XDG_CACHE_HOME
}

# predecessor prints what to go back to: the last path whose activation succeeded.
# shellcheck disable=SC2154 # frame.sh sets it
predecessor() { cat -- "$activated"; } 2>/dev/null

# systemd refuses to start a unit that was started too often, even when the node
# goes back to the version that worked. So we reset the failed units first, as a
# NixOS switch does.
#
# The last command of hostenv's activation is `nix profile remove .hostenv`, which
# removes nothing. It needs Nix's daemon, which need not answer the user, and its status
# would be that of the activation.
activate() {
  "@coreutils@timeout" 10 systemctl --user reset-failed >/dev/null 2>&1 || true
  # shellcheck disable=SC2317 # the activation calls it
  nix() { if [ "$*" = "profile remove .hostenv" ]; then command nix "$@" || true; else command nix "$@"; fi; }
  export -f nix
  "$PROFILE/bin/activate"
}
