# shellcheck shell=bash
# Tests the front door's nginx.conf with nginx itself, when a system is built: a node
# never gets a configuration with which nginx does not start.
#
# What exists on a node alone is replaced: a listening socket by a unix socket, a
# certificate by one that is made here, a log by none. A directive that reads another
# file of the node, and a host of proxy_pass that only a resolver knows, is left out of
# the test.
set -euo pipefail
export PATH=@path@

nginx=@nginx@
config=@config@

work=$(mktemp -d)
cd "$work"
mkdir s cache
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -keyout key -out cert 2>/dev/null

directive='^([[:space:]]*)([a-z0-9_]+)[[:space:]]+([^[:space:];]+)([^;]*);(.*)$'

# listen ADDRESS PARAMETERS prints the directive with a unix socket for each address.
listen() {
  local address=$1 word
  case "$address" in
    [0-9]*.* | \[* | unix:*) ;;
    \**) address=0.0.0.0${address#\*} ;;
    *[!0-9]*) ;;
    *) address=0.0.0.0:$address ;;
  esac
  address=${address/#"[::0]"/[::]}
  # nginx listens for QUIC by UDP, which no unix socket has.
  [[ " $2 " != *" quic "* ]] || return 0
  printf 'listen unix:s/%s' "${address//\//_}"
  for word in $2; do
    case "$word" in
      ssl | http2 | default_server | proxy_protocol) printf ' %s' "$word" ;;
    esac
  done
  printf ';'
}

# adapt prints the configuration for this machine, line by line, so that nginx's line
# numbers are those of the original.
adapt() {
  local line name value rest
  while IFS= read -r line || [ -n "$line" ]; do
    if [[ $line =~ ^[[:space:]]*http[[:space:]]*\{ ]]; then
      printf '%s access_log off;' "$line"
      for name in client_body proxy fastcgi uwsgi scgi; do printf ' %s_temp_path %s/temp;' "$name" "$work"; done
      echo
      continue
    fi
    if [[ ! $line =~ $directive ]]; then
      printf '%s\n' "$line"
      continue
    fi
    name=${BASH_REMATCH[2]} value=${BASH_REMATCH[3]} rest=${BASH_REMATCH[4]}
    case "$name" in
      listen) printf '%s' "$(listen "$value" "$rest")" ;;
      user | *_temp_path) ;;
      pid) printf 'pid %s/pid;' "$work" ;;
      error_log) printf 'error_log stderr%s;' "$rest" ;;
      access_log) if [ "$value" = off ]; then printf 'access_log off;'; else printf 'access_log /dev/null%s;' "$rest"; fi ;;
      proxy_cache_path | fastcgi_cache_path | uwsgi_cache_path | scgi_cache_path) printf '%s %s/cache/%s%s;' "$name" "$work" "${value//\//_}" "$rest" ;;
      *ssl_certificate | *ssl_trusted_certificate | *ssl_client_certificate) certificate "$name" "$value" "$work/cert" ;;
      *ssl_certificate_key) certificate "$name" "$value" "$work/key" ;;
      *)
        printf '%s\n' "$line"
        continue
        ;;
    esac
    printf '%s\n' "${BASH_REMATCH[5]}"
  done
}

# certificate NAME FILE OURS prints the directive, with our file for one of the node.
certificate() {
  if [[ $2 == @store@/* ]]; then printf '%s %s;' "$1" "$2"; else printf '%s %s;' "$1" "$3"; fi
}

{
  # For root, nginx looks up the user that it was built with.
  [ "$(id -u)" != 0 ] || printf 'user root root; '
  adapt <"$config"
} >nginx.conf

# missing prints the number of a line that names what is only on a node, and what to
# replace there.
missing() {
  local open='open\(\) "([^"]*)" failed \((2|13): [^)]*\) in .*nginx\.conf:([0-9]+)$' host='host not found in [a-z_]+ "([^"/:]+)[^"]*" in .*nginx\.conf:([0-9]+)$' line
  while IFS= read -r line; do
    if [[ $line =~ $open && ${BASH_REMATCH[1]} != @store@/* ]]; then
      echo "${BASH_REMATCH[3]}"
    elif [[ $line =~ $host ]]; then
      echo "${BASH_REMATCH[2]} ${BASH_REMATCH[1]}"
    fi
  done <errors
}

# Each round takes away one line of those that only a node can read.
for ((round = 0; round < 200; round++)); do
  ! "$nginx" -t -q -e stderr -p "$work/" -c "$work/nginx.conf" 2>errors || exit 0
  read -r number name <<<"$(missing)"
  [ -n "$number" ] || break
  if [ -n "$name" ]; then
    printf -v name '%s' "$(sed 's/[][\\.*^$/]/\\&/g' <<<"$name")"
    sed -i "${number}s/$name/127.0.0.1/" nginx.conf
  else
    sed -i "${number}s/.*//" nginx.conf
  fi
done

{
  echo "error: nginx does not take the front door's configuration, and would not start on the node"
  cat errors
  number=$(grep -oE 'nginx\.conf:[0-9]+$' errors | head -n 1 | cut -d : -f 2 || true)
  if [ -n "$number" ]; then
    echo "hint: this is line $number of $config:"
    sed -n "$number p" "$config"
    names=$(head -n "$number" "$config" | grep -E '^[[:space:]]*server_name' | tail -n 1 || true)
    echo "hint: the last server before it is ${names:-none}"
  fi
} >&2
exit 1
