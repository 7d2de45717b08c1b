# shellcheck shell=bash disable=SC2016 # these are variables of jq
# Orders the node's certificates outside of switches, and reports their state.
# nix/modules/acme.nix installs this program, and hostenv/deploy/remote calls it.
#
#   hostenv-certificates order           orders certificates that are missing or changed, or failed a while ago
#   hostenv-certificates retry [NAME...] orders these now; without a name, all that are missing or failed
#   hostenv-certificates status          prints the state of all certificates as JSON
#   hostenv-certificates check           removes files that a power cut left incomplete, before nginx starts
#   hostenv-certificates begin NAME ID   records that NixOS's unit begins to order the certificate that ID identifies
#   hostenv-certificates end NAME        records how the order ended, from systemd's variables
#
# Each certificate has a record, a file that every user can read: its issuer,
# how long it is valid, and the result of its last order. A failed order does not
# fail its unit, because a switch that finds a failed unit fails.
set -euo pipefail
export PATH=@path@ LC_ALL=C
umask 022

wanted=/etc/hostenv/certificates.json  # the certificates of the system
records=/var/lib/hostenv-certificates  # the records of certificates, kept over reboots
orders=/run/hostenv-certificates       # the orders that are running
files=/var/lib/acme

# Let's Encrypt allows five failed validations of a name per hour, and blocks a name
# that fails for weeks.
pause=900
attempts=24

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

# all prints the records of the system's certificates as one JSON list. `changed`
# means that the system's certificate differs from the one that was last ordered.
# Records that a power cut left incomplete are skipped.
all() {
  local -a kept=()
  local file at_work=
  shopt -s nullglob
  kept=("$records"/*.json)
  for file in "$orders"/*; do at_work+="${file##*/} "; done
  # sed ends the last line of each file.
  sed '' /dev/null "${kept[@]}" | jq -Rsc --slurpfile wanted "$wanted" --arg ordering "$at_work" '
    ([split("\n")[] | fromjson? | objects] | map({(.name // ""): .}) | add // {}) as $known
    | ($ordering | split(" ")) as $ordering
    | [$wanted[0].certificates | to_entries[] | .key as $name | .value as $wanted
      | ($known[$name] // {name: $name})
      | .ordering = any($ordering[]; . == $name)
      | .changed = (.identity != $wanted.identity)]'
}

# pick CONDITION prints the names of the certificates that meet the jq condition, one
# on each line. A certificate that has failed for a day is no longer due: NixOS's
# timer still tries it once a day.
pick() {
  all | jq -r --argjson now "$(date +%s)" --argjson pause "$pause" --argjson attempts "$attempts" '
    def ordered: .issuer == "ca" and (.changed | not) and (.failed | not);
    def missing: ordered | not;
    def due: missing and ((.failed | not) or .changed
      or (.failed.times <= $attempts and ($now < .tried or $now - .tried >= $pause)));
    .[] | select('"$1"') | .name'
}

# update NAME FILTER ARGUMENTS... changes the record by a jq filter.
update() {
  local name=$1 filter=$2 old
  shift 2
  mkdir -p "$records"
  (
    flock 9
    old=$(jq -c 'objects' "$records/$name.json" 2>/dev/null) || old=
    jq -c --arg name "$name" "$@" ".name = \$name | $filter" <<<"${old:-{\}}" >"$records/.$name"
    sync "$records/.$name"
    mv -f "$records/.$name" "$records/$name.json"
  ) 9>"$records/.lock"
}

# look NAME records the issuer of the certificate in place, and how long it is valid.
look() {
  local issuer=none until=0 text
  if text=$(openssl x509 -noout -enddate -issuer -in "$files/$1/fullchain.pem" 2>/dev/null); then
    issuer=ca
    case "$text" in *"minica root ca"*) issuer=self-signed ;; esac
    until=$(sed -n 's/^notAfter=//p' <<<"$text")
    until=$(date -d "$until" +%s)
  fi
  update "$1" '.issuer = $issuer | .notAfter = $until' --arg issuer "$issuer" --argjson until "$until"
}

# switching reports whether a switch is running. It looks for the lock in /proc/locks
# and does not take it, because a switch that finds its lock taken fails.
switching() {
  local lock=/run/nixos/switch-to-configuration.lock major minor inode
  [ -e "$lock" ] || return 1
  read -r major minor inode < <(stat -c '%Hd %Ld %i' "$lock")
  grep -q "FLOCK .* $(printf '%02x:%02x:%d' "$major" "$minor" "$inode") " /proc/locks
}

# start NAME... orders these certificates, one at a time until one succeeds, because
# the first order creates the account. After that it orders several at a time.
start() {
  local -a todo=("$@") group
  local name parallel size=1 ordered
  parallel=$(jq .parallel "$wanted")
  while [ "${#todo[@]}" -gt 0 ]; do
    while switching; do sleep 1; done
    group=("${todo[@]:0:size}") todo=("${todo[@]:size}")
    systemctl start -- "${group[@]/%/.service}" || true
    ordered=$'\n'$(pick ordered)$'\n'
    for name in "${group[@]#acme-}"; do
      case "$ordered" in *$'\n'"$name"$'\n'*) size=$parallel ;; esac
    done
  done
}

# chosen CONDITION updates the records from the files in place, and orders the
# certificates that meet the condition.
chosen() {
  local name file
  local -a names
  mapfile -t names < <(pick true)
  for name in "${names[@]}"; do
    file=$files/$name/fullchain.pem
    if [ ! -s "$records/$name.json" ] || [ ! -e "$file" ] || [ "$file" -nt "$records/$name.json" ]; then look "$name" || true; fi
  done
  # Remove the records of certificates that the system no longer has.
  for file in "$records"/*.json; do
    name=${file##*/}
    case $'\n'"$(printf '%s\n' "${names[@]}")"$'\n' in
      *$'\n'"${name%.json}"$'\n'*) ;;
      *) rm -f "$file" ;;
    esac
  done
  mapfile -t names < <(pick "$1")
  start "${names[@]/#/acme-}"
}

# check removes files that do not belong together, as after a power cut while they
# were installed: nginx does not start with them. NixOS writes full.pem last, from
# key.pem and fullchain.pem. NixOS keeps the ordered files elsewhere, and installs
# them again.
check() {
  local name folder whole file
  local -a names
  mapfile -t names < <(pick true)
  for name in "${names[@]}"; do
    folder=$files/$name whole=
    for file in key fullchain full; do
      if [ -s "$folder/$file.pem" ]; then whole+=$file; fi
    done
    case "$whole" in
      keyfullchainfull)
        if [ "$(<"$folder/key.pem")"$'\n'"$(<"$folder/fullchain.pem")" = "$(<"$folder/full.pem")" ]; then continue; fi
        ;;
      '') continue ;;
    esac
    printf 'the files of %s do not belong together: making new ones\n' "$name" >&2
    rm -f "$folder"/{key,cert,chain,fullchain,full}.pem "$records/$name.json"
  done
}

# messages prints the error messages of an order, without the lines of a successful one.
# If no line names an error, it prints the end of the whole log.
messages() {
  local text errors
  journalctl --sync || true
  text=$(journalctl --quiet --no-pager --output=cat "_SYSTEMD_INVOCATION_ID=${INVOCATION_ID-}" |
    grep -vE '^\+|\[INFO\]|^(Waiting to acquire|Acquired|Releasing) lock |^Failed to fetch certificates\. This may mean ') || true
  errors=$(sed -n '/[Cc]ould not\|[Ee]rror/,$p' <<<"$text")
  tail -n 12 <<<"${errors:-$text}" | cut -c 1-500
}

# end NAME records how the order ended, from the variables that systemd sets.
end() {
  local name=$1 id reason
  id=$(cat "$orders/$name" 2>/dev/null) || id=
  rm -f "$orders/$name"
  case "${SERVICE_RESULT-}:${EXIT_CODE-}:${EXIT_STATUS-}" in
    success:exited:0)
      update "$name" '.identity = $id | .tried = (now | floor) | del(.failed)' --arg id "$id"
      ;;
    success:killed:TERM | signal:killed:TERM) ;; # stopped, not failed
    *)
      reason=${EXIT_STATUS:-${SERVICE_RESULT-}}
      if [ "${SERVICE_RESULT-}" = timeout ]; then reason=timeout; fi
      update "$name" '(now | floor) as $now | .tried = $now
        | .failed = {since: (.failed.since // $now), times: ((.failed.times // 0) + 1), exit: $reason, said: $said}
        | if .identity != $id then .identity = $id | .failed.since = $now | .failed.times = 1 else . end' \
        --arg id "$id" --arg reason "$reason" --arg said "$(messages)"
      ;;
  esac
  look "$name"
}

case "${1-}" in
  order) chosen due ;;
  retry)
    shift
    if [ $# = 0 ]; then
      chosen missing
    else
      for name; do
        jq -e --arg name "$name" '.certificates | has($name)' "$wanted" >/dev/null || fail "the system has no certificate $(printf %q "$name")"
      done
      start "${@/#/acme-}"
    fi
    ;;
  check) check ;;
  begin)
    mkdir -p "$orders"
    printf '%s' "$3" >"$orders/$2"
    ;;
  end) end "$2" ;;
  status) all | jq 'map(del(.identity))' ;;
  *) fail "hostenv-certificates has no command $(printf %q "${1-}")" ;;
esac
