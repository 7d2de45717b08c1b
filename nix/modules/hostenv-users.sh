# shellcheck shell=bash
# Manages the users of environments on a node where NixOS does not. NixOS treats a
# renamed user as a removed and a new one, leaves the processes of a removed user
# running, and gives a new user any folder that exists at its home. users.nix installs
# this program; docs/nodes.md describes it.
#
#   hostenv-users activate         runs in the system's activation, before NixOS creates users
#   hostenv-users list             prints as JSON what removed environments left behind
#   hostenv-users remove NAME UID  removes what one of them left behind
#
# A home belongs to a UID, because its files do. The plan never assigns a UID twice,
# unless its state was lost. Therefore a home follows a UID to another name only if
# the plan, or this node's record, has both names for the same environment.
#
# A power cut can stop `activate` at any point, and then this system or the previous
# one starts. Each step is atomic, the next run does the missing steps, and
# /etc/passwd is written last. No step overwrites existing files.
set -uo pipefail
umask 022
export LC_ALL=C PATH=@path@

# The lines of the table:
# environment NAME UID FORMER,NAMES|- HOME  an environment of this system
# disabled NAME UID - HOME                  a disabled environment, which keeps its files
# user NAME UID|- - HOME                    another user of the machine
table=@table@
# UID NAME HOME: the environments that this node has had, a line for each name
record=/var/lib/hostenv/users
# Folders with one folder for each user: of its profiles, and below /run.
profiles=@profiles@
runFolders=(@runtimes@ @upstreams@ @temp@)
roots=/nix/var/nix/gcroots/auto
lingering=/var/lib/systemd/linger
# Time limits in seconds: for services to end, and for logind to forget a user after
# the last session (UserStopDelaySec, 10 s by default).
stopTimeout=90
forgetTimeout=60

status=0
say() { printf 'hostenv-users: %s\n' "$1" >&2; }
complain() {
  say "error: $1"
  status=1
}
die() {
  say "error: $1"
  exit 1
}

isName() { [[ $1 =~ ^[a-z0-9][a-z0-9_-]{0,30}$ ]]; }
isUID() { [[ $1 =~ ^[1-9][0-9]{0,8}$ ]]; }
isPlain() { [[ $1 =~ ^/[A-Za-z0-9._/-]+$ ]]; }
owner() { stat -c %u -- "$1" 2>/dev/null; }
exists() { [ -e "$1" ] || [ -L "$1" ]; }
# isOf UID PATH reports whether the path is a folder of that UID, and not a link.
isOf() { [ -d "$2" ] && [ ! -L "$2" ] && [ "$(owner "$2")" = "$1" ]; }

declare -A uidOf=() homeOf=() userOf=() # of environments: by name, and by UID
declare -A formers=()                   # by UID: the names that it may have here
declare -A disabled=() others=()        # by UID; others, the machine's users, also by name
declare -A recorded=()                  # by UID: names
declare -A known=()                     # by "UID NAME": the home
declare -A passwd=() homes=()           # by name: UID, and home
declare -A named=()                     # by UID: names in /etc/passwd

readAll() {
  local kind name id old home
  while read -r kind name id old home; do
    case "$kind" in
      environment)
        uidOf[$name]=$id userOf[$id]=$name homeOf[$name]=$home
        known["$id $name"]=$home
        [ "$old" = - ] || formers[$id]=${old//,/ }
        ;;
      disabled) disabled[$id]=$name ;;
      user) others[$id]=$name others[$name]=$id ;;
    esac
  done <"$table"
  if [ -e /etc/passwd ]; then
    while IFS=: read -r name _ id _ _ home _; do
      isUID "$id" || continue
      passwd[$name]=$id homes[$name]=$home named[$id]="${named[$id]-} $name"
    done </etc/passwd
  fi
  if [ -e "$record" ]; then
    while read -r id name home; do
      if ! isUID "$id" || ! isName "$name"; then continue; fi
      recorded[$id]="${recorded[$id]-} $name"
      : "${known["$id $name"]:=$home}"
    done <"$record"
  fi
  # The node may have been deployed before it kept a record: search the folders too.
  local folder
  while read -r id folder; do
    name=${folder##*/}
    name=${name%%.*}
    if ! isName "$name" || ! isUID "$id" || [ -L "$folder" ]; then continue; fi
    case "$folder" in
      "$profiles"/*) compgen -G "$folder/@link@*" >/dev/null || continue ;;
    esac
    if [ "${passwd[$name]-}" = "$id" ]; then home=${homes[$name]}; else home=/home/$name; fi
    : "${known["$id $name"]:=$home}"
  done < <(stat -c '%u %n' -- "$profiles"/* @runtimes@/* 2>/dev/null)
}

# sorted WORD... prints the words sorted, one on each line.
sorted() { [ "$#" = 0 ] || printf '%s\n' "$@" | sort; }
# has WORD WORD... reports whether the first word is among the others.
has() { [[ " ${*:2} " == *" $1 "* ]]; }
# namesOf UID prints the known names of a UID.
namesOf() {
  local key
  for key in "${!known[@]}"; do
    [ "${key% *}" != "$1" ] || printf '%s\n' "${key#* }"
  done
}

# replace FILE TEXT replaces the text of a file. At any time the file has the whole
# old text or the whole new text.
replace() {
  # The name is fixed, so that the next run removes the file of an interrupted one.
  # Only root can write in these folders.
  local temp=$1.hostenv-new
  if rm -f -- "$temp" && (umask 077 && printf '%s\n' "$2" >"$temp") &&
    { if [ -e "$1" ]; then chown --reference="$1" -- "$temp" && chmod --reference="$1" -- "$temp"; else chmod 0644 -- "$temp"; fi; } &&
    sync -- "$temp" && mv -fT -- "$temp" "$1" && sync -- "${1%/*}"; then
    return
  fi
  rm -f -- "$temp"
  return 1
}

# stop UID... ends all processes of these users, with their sessions and services.
stop() {
  # While the machine boots, systemd is not running yet and there are no processes.
  if [ "$#" = 0 ] || [ ! -d /run/systemd/system ]; then return 0; fi
  local id units=()
  for id; do
    loginctl terminate-user "$id" 2>/dev/null
    units+=("user@$id.service")
  done
  if ! timeout "$stopTimeout" systemctl stop -- "${units[@]}"; then
    systemctl kill --signal=KILL -- "${units[@]}"
  fi
  for id; do pkill -KILL -U "$id"; done
  return 0
}

# forget UID... waits until logind has forgotten these users. Otherwise it would still
# use the old name for a UID.
forget() {
  local id end=$((SECONDS + forgetTimeout))
  for id; do
    while [ -e "/run/systemd/users/$id" ]; do
      if [ "$SECONDS" -ge "$end" ]; then
        say "warning: logind still knows the user $id by its old name: if its services do not start, deploy again or reboot"
        return
      fi
      sleep 0.2
    done
  done
}

# foreign PATH UID reports whether the path belongs to another user. Root does not
# count: NixOS gives a folder of root, such as one made by hand, to the user.
declare -A ownerAt=() # by path: the owner's UID before the first change
foreign() { [ "${ownerAt[$1]-0}" != 0 ] && [ "${ownerAt[$1]}" != "$2" ]; }

# setAside PATH UID renames a path that belongs to another user, to make room.
setAside() {
  foreign "$1" "$2" || return 0
  local other=${ownerAt[$1]}
  keepRoots "$other" "$1" "$1.$other"
  if mv --backup=numbered -T -- "$1" "$1.$other"; then
    say "$1 belonged to UID $other, not to $2: renamed it to $1.$other"
  else
    complain "$1 belongs to UID $other, not to $2, and cannot be renamed to $1.$other: move it away"
  fi
}

# take PATH UID FORMERLY... moves the user's folder from one of the former paths to
# PATH, unless PATH exists.
take() {
  local to=$1 id=$2 from
  shift 2
  for from; do
    isOf "$id" "$from" || continue
    mkdir -p -- "${to%/*}"
    if exists "$to" && ! { [ ! -L "$to" ] && rmdir -- "$to" 2>/dev/null; }; then
      say "warning: $from was not moved, because $to exists"
      return
    fi
    if [ "$(stat -c %d -- "$from")" != "$(stat -c %d -- "${to%/*}")" ]; then
      complain "$from cannot be moved to $to on another file system: copy it yourself"
      return
    fi
    keepRoots "$id" "$from" "$to"
    if mv -nT -- "$from" "$to" && sync -- "${from%/*}" "${to%/*}"; then
      say "moved $from to $to"
    else
      complain "$from cannot be moved to $to"
    fi
    return
  done
}

# keepRoots UID FROM TO points the roots of Nix's garbage collector, and the user's
# link ~/.nix-profile, from FROM to TO, where the folder will be.
keepRoots() {
  local name target
  if [ -d "$roots" ]; then
    while IFS= read -r -d '' name && IFS= read -r -d '' target; do
      ln -sfnT -- "$3${target#"$2"}" "$roots/$name"
    done < <(find "$roots" -maxdepth 1 -type l -lname "$2/*" -printf '%f\0%l\0')
  fi
  # Write as the user, who owns the folder and may have changed it since the check.
  local home
  for home in "$2" "$3"; do
    if isOf "$1" "$home" && target=$(readlink -- "$home/.nix-profile") && [[ $target == "$2"/* ]]; then
      setpriv --reuid="$1" --regid="$1" --clear-groups ln -sfnT -- "$3${target#"$2"}" "$home/.nix-profile"
    fi
  done
}

# entries FILE prints passwd(5) or group(5) with the present names of UIDs and GIDs.
entries() {
  local line name id now
  declare -A there=()
  while IFS=: read -r name _ id _; do there["$id $name"]=1; done <"$1"
  while IFS= read -r line || [ -n "$line" ]; do
    IFS=: read -r name _ id _ <<<"$line"
    now=${userOf[$id]-}
    if [ -n "$now" ] && [ "$name" != "$now" ] && [ -z "${there["$id $now"]-}" ] && has "$name" "${formers[$id]-}"; then
      line="$now:${line#*:}"
      there["$id $now"]=1
    fi
    printf '%s\n' "$line"
  done <"$1"
}

# shadows OLD:NEW... prints shadow(5) with these users renamed.
shadows() {
  local line name rename
  declare -A now=() there=()
  for rename; do now[${rename%:*}]=${rename#*:}; done
  while IFS=: read -r name _; do there[$name]=1; done </etc/shadow
  while IFS= read -r line || [ -n "$line" ]; do
    name=${line%%:*}
    if [ -n "${now[$name]-}" ] && [ -z "${there[${now[$name]}]-}" ]; then line="${now[$name]}:${line#*:}"; fi
    printf '%s\n' "$line"
  done </etc/shadow
}

# rewrite FILE TEXT replaces the text of a file if it differs.
rewrite() {
  [ "$2" = "$(<"$1")" ] || replace "$1" "$2" || complain "$1 cannot be written"
}

activate() {
  local id name old key text linked
  local -a renames=() renamed=() gone=() folders=()
  declare -A strange=()

  for id in $(sorted "${!userOf[@]}"); do
    name=${userOf[$id]}
    # All recorded names of a UID belong to one environment. If one of them is a name
    # of this environment, all are.
    linked=${recorded[$id]-}
    for old in ${recorded[$id]-}; do
      if [ "$old" = "$name" ] || has "$old" "${formers[$id]-}"; then linked=; fi
    done
    if [ -n "$linked" ]; then
      complain "the UID $id belonged to$linked on this node, and the plan assigns it to $name, which never had that name: if generated/state.json was lost, see \"Restore a state\" in docs/provider.md; if both are one environment, remove the line of $id from $record"
      strange[$id]=1
      continue
    fi
    text=
    for old in ${formers[$id]-} ${recorded[$id]-}; do [ "$old" = "$name" ] || text+="$old "; done
    formers[$id]=$text
    for old in ${named[$id]-}; do
      if [ "$old" = "$name" ]; then
        :
      elif has "$old" "${formers[$id]}"; then
        renames+=("$old:$name")
        renamed+=("$id")
      else
        complain "the UID $id belongs to the user $old, and the plan assigns it to $name, which never had that name"
        strange[$id]=1
      fi
    done
  done

  for name in $(sorted "${!uidOf[@]}"); do
    id=${passwd[$name]-${uidOf[$name]}}
    if [ "$id" != "${uidOf[$name]}" ] && ! { [ -n "${userOf[$id]-}" ] && has "$name" "${formers[$id]-}"; }; then
      complain "the user $name has the UID $id on this node, and the plan assigns it ${uidOf[$name]}: NixOS does not change UIDs"
      strange[${uidOf[$name]}]=1
    fi
  done

  # Environments that were removed from this node, if no other user has their UID.
  for id in $(sorted "${!known[@]}" | cut -d ' ' -f 1 | uniq); do
    [ -z "${userOf[$id]-}${others[$id]-}" ] || continue
    linked=1
    for old in ${named[$id]-}; do
      if [ -z "${known["$id $old"]-}" ] || [ -n "${others[$old]-}" ]; then linked=; fi
    done
    if [ -n "$linked" ] && [ -e "/run/systemd/users/$id" ]; then gone+=("$id"); fi
  done

  for text in "${renames[@]}"; do say "renaming the user ${text%:*} to ${text#*:}"; done
  # shellcheck disable=SC2046 # a word for each name
  for id in "${gone[@]}"; do say "the environment$(printf ' %s' $(namesOf "$id")) (UID $id) was removed from this node: stopping its processes"; done
  [ "${NIXOS_ACTION-}" != dry-activate ] || return

  # Write the record before any rename: after a power cut the next run needs it.
  text=$(
    {
      # sort keeps the first of several lines with the same UID and name.
      for id in "${!userOf[@]}"; do
        [ -z "${strange[$id]-}" ] || continue
        printf '%s %s %s\n' "$id" "${userOf[$id]}" "${homeOf[${userOf[$id]}]}"
        for old in ${formers[$id]-}; do
          if [ "${passwd[$old]-}" = "$id" ]; then printf '%s %s %s\n' "$id" "$old" "${homes[$old]}"; fi
        done
      done
      [ ! -e "$record" ] || cat -- "$record"
    } | sort -u -k 1n,1 -k 2,2
  )
  if [ "$text" != "$(cat -- "$record" 2>/dev/null)" ]; then
    if ! mkdir -p -- "${record%/*}" || ! replace "$record" "$text"; then complain "$record cannot be written"; fi
  fi

  # Remove the linger files: where one is missing NixOS enables lingering, and so
  # starts the user.
  for id in "${renamed[@]}" "${gone[@]}"; do
    for old in $(namesOf "$id"); do
      [ "${passwd[$old]-$id}" != "$id" ] || rm -f -- "$lingering/$old"
    done
  done
  stop "${renamed[@]}" "${gone[@]}"
  forget "${renamed[@]}"

  for name in "${!uidOf[@]}"; do
    folders+=("${homeOf[$name]}" "$profiles/$name" "${runFolders[@]/%//$name}")
  done
  if [ "${#folders[@]}" != 0 ]; then
    while read -r id text; do ownerAt[$text]=$id; done < <(stat -L -c '%u %n' -- "${folders[@]}" 2>/dev/null)
  fi
  for name in "${!uidOf[@]}"; do
    id=${uidOf[$name]}
    [ -z "${strange[$id]-}" ] || continue
    setAside "${homeOf[$name]}" "$id"
    setAside "$profiles/$name" "$id"
    for text in "${runFolders[@]/%//$name}"; do
      if foreign "$text" "$id"; then rm -rf --one-file-system -- "$text"; fi
    done
  done
  for id in "${!userOf[@]}"; do
    [ -z "${strange[$id]-}" ] || continue
    name=${userOf[$id]}
    text=${homeOf[$name]}
    folders=("$text.$id")
    for old in ${formers[$id]-}; do
      key=${known["$id $old"]-/home/$old}
      folders+=("$key" "$key.$id")
    done
    take "$text" "$id" "${folders[@]}"
    # A power cut may have stopped an earlier run between keepRoots and the move, and
    # then the previous system ran: update the roots again.
    for old in "${folders[@]:1}"; do exists "$old" || keepRoots "$id" "$old" "$text"; done
    folders=("$profiles/$name.$id")
    for old in ${formers[$id]-}; do folders+=("$profiles/$old" "$profiles/$old.$id"); done
    take "$profiles/$name" "$id" "${folders[@]}"
    for old in ${formers[$id]-}; do
      for text in "${runFolders[@]/%//$old}"; do
        if isOf "$id" "$text"; then rm -rf --one-file-system -- "$text"; fi
      done
    done
  done

  # Keep the subordinate UIDs of renamed users: files of their containers, in the
  # home, belong to these.
  local map=/var/lib/nixos/auto-subuid-map
  if [ "${#renames[@]}" != 0 ] && [ -e "$map" ]; then
    text=$(<"$map")
    for key in "${renames[@]}"; do
      if [[ $text != *"\"${key#*:}\""* ]]; then text=${text//"\"${key%:*}\""/"\"${key#*:}\""}; fi
    done
    rewrite "$map" "$text"
  fi
  if [ -e /etc/shadow ] && [ "${#renames[@]}" != 0 ]; then rewrite /etc/shadow "$(shadows "${renames[@]}")"; fi
  for text in /etc/group /etc/passwd; do
    [ ! -e "$text" ] || rewrite "$text" "$(entries "$text")"
  done
}

# inUse PATH reports whether the path is a user's home, or is above or below one.
inUse() {
  local home
  for home in "${homes[@]}" "${homeOf[@]}"; do
    [[ $home/ != "$1"/* && $1/ != "$home"/* ]] || return 0
  done
  return 1
}

# leftOf UID NAME prints the paths that an environment of that name left behind.
leftOf() {
  local at
  for at in "${known["$1 $2"]}" "${known["$1 $2"]}.$1"; do
    if isPlain "$at" && isOf "$1" "$at" && ! inUse "$at"; then printf '%s\n' "$at"; fi
  done
  for at in "$profiles/$2" "$profiles/$2.$1" "${runFolders[@]/%//$2}"; do
    if isOf "$1" "$at"; then printf '%s\n' "$at"; fi
  done
  if [ -z "${passwd[$2]-}" ] && [ -e "$lingering/$2" ]; then printf '%s\n' "$lingering/$2"; fi
}

# runs UID reports whether a process runs as the user of a removed environment. It does
# not ask logind, because logind lists a user for a while after its last process.
runs() { [ -z "${named[$1]-}" ] && pgrep -U "$1" >/dev/null; }

# isLeft UID NAME reports whether this node no longer has the environment by that name.
isLeft() { [ "${uidOf[$2]-}" != "$1" ] && [ "${passwd[$2]-}" != "$1" ] && [ -z "${disabled[$1]-}${others[$1]-}" ]; }

list() {
  local key id name at comma="" running
  printf '{"leftovers":['
  while read -r id name; do
    isLeft "$id" "$name" || continue
    mapfile -t at < <(leftOf "$id" "$name")
    running=false
    if runs "$id"; then running=true; fi
    [ "${#at[@]}" != 0 ] || [ "$running" = true ] || continue
    # These values need no escapes in JSON.
    printf '%s{"user":"%s","uid":%s,"now":"%s","running":%s,"paths":[' "$comma" "$name" "$id" "${userOf[$id]-}" "$running"
    comma=
    for key in "${at[@]}"; do
      printf '%s"%s"' "$comma" "$key"
      comma=,
    done
    printf ']}'
    comma=,
  done < <(sorted "${!known[@]}")
  printf ']}\n'
}

remove() {
  local name=$1 id=$2 at
  if ! isName "$name" || ! isUID "$id"; then die "hostenv-users remove takes a user's name and its UID"; fi
  [ -n "${known["$id $name"]-}" ] || die "this node has no record of an environment $name with the UID $id"
  isLeft "$id" "$name" || die "$name is in use on this node"
  if runs "$id"; then stop "$id"; fi
  while read -r at; do
    if rm -rf --one-file-system -- "$at"; then
      printf 'removed %s\n' "$at"
    else
      complain "$at cannot be removed"
    fi
  done < <(leftOf "$id" "$name")
}

[ "$EUID" = 0 ] || die "run this program as root"
case "${1-}/$#" in
  activate/1)
    readAll
    activate
    ;;
  list/1)
    readAll
    list
    ;;
  remove/3)
    readAll
    remove "$2" "$3"
    ;;
  *) die "usage: hostenv-users activate, hostenv-users list, or hostenv-users remove NAME UID" ;;
esac
exit "$status"
