#compdef hostenv-provider
# Completion of hostenv-provider in zsh, as _hostenv-provider in a folder of
# fpath, or by
#   source <(hostenv-provider completion zsh)

_hostenv-provider() {
  local line
  local -a candidates descriptions open
  for line in "${(@f)$("${(Q)~words[1]}" __complete "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
    case ${line%%$'\t'*} in
      ('') ;;
      (*[=/]) open+=("${line%%$'\t'*}") ;;
      (*) candidates+=("${line%%$'\t'*}") descriptions+=("${line/$'\t'/  -- }") ;;
    esac
  done
  compadd -S '' -- $open
  compadd -l -d descriptions -- $candidates
}

if [[ $funcstack[1] == _hostenv-provider ]]; then
  _hostenv-provider "$@"
else
  compdef _hostenv-provider hostenv-provider
fi
