# shellcheck shell=bash
# Completion of hostenv-provider in bash:
#   source <(hostenv-provider completion bash)

_hostenv_provider() {
  local line=${COMP_LINE:0:COMP_POINT} word prefix candidate
  local -a words
  read -ra words <<<"$line"
  [[ $line != *[[:space:]] ]] || words+=('')
  word=${words[${#words[@]}-1]}
  # bash replaces only what follows the last of these characters.
  prefix=
  [[ $COMP_WORDBREAKS != *=* || $word != *=* ]] || prefix=${word%"${word##*=}"}
  [[ $COMP_WORDBREAKS != *:* || ${word#"$prefix"} != *:* ]] || prefix=${word%"${word##*:}"}
  COMPREPLY=()
  while IFS=$'\t' read -r candidate _; do
    COMPREPLY+=("${candidate#"$prefix"}")
    [[ $candidate != *[=/] ]] || compopt -o nospace 2>/dev/null
  done < <("${1/#\~\//$HOME/}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _hostenv_provider hostenv-provider
