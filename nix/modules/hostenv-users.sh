# The users of environments on a node, beyond what NixOS does for them: to NixOS a
# renamed user is one that goes and one that comes, what runs of a user that goes
# runs on, and a new user gets whatever is where its home will be. users.nix
# installs this program; docs/nodes.md says what it does.
#
#   hostenv-users activate         before NixOS makes users, in the system's activation
#   hostenv-users list             what environments that are not here any more left, as JSON
#   hostenv-users remove NAME UID  removes what one of them left
#
# A home belongs to a UID, for that is whom its files belong to. The plan never
# gives a UID twice, but a plan whose state was lost does: a home follows a UID to
# another name only where both are known to be names of one environment, by the
# plan or by the record of what this node had.
#
# A power cut may end `activate` anywhere, and then this system or the one before
# it starts. Each step is done or not, what is not done is done by the next run,
# and /etc/passwd is last. No step replaces anything that is there.
set -uo pipefail
umask 022
export LC_ALL=C PATH="@path@"

# environment NAME UID FORMER,NAMES|- HOME  the environments of this system
# disabled NAME UID - HOME                  those that are to keep what they have
# user NAME UID|- - HOME                    users of the machine's own
table="@table@"
# UID NAME HOME: the environments that this node has had, by each of their names
record=/var/lib/hostenv/users
profiles=/nix/var/nix/profiles/per-user
roots=/nix/var/nix/gcroots/auto
lingering=/var/lib/systemd/linger
# How long services have to end, and logind to forget a user whose last session
# has just ended (UserStopDelaySec, which is 10 s where nobody sets it).
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
# isOf UID PATH: a folder of that UID, and no link to one.
isOf() { [ -d "$2" ] && [ ! -L "$2" ] && [ "$(owner "$2")" = "$1" ]; }

declare -A uidOf=() homeOf=() userOf=() # of environments: by name, and by UID
declare -A formers=()                   # by UID: the names that it may have here
declare -A disabled=() others=()        # by UID and, of the machine's own, by name
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
      isUID "$id" && isName "$name" || continue
      recorded[$id]="${recorded[$id]-} $name"
      : "${known["$id $name"]:=$home}"
    done <"$record"
  fi
  # A node that was deployed before it kept a record.
  local folder
  while read -r id folder; do
    name=${folder##*/}
    name=${name%%.*}
    isName "$name" && isUID "$id" && [ ! -L "$folder" ] || continue
    case "$folder" in
      "$profiles"/*) compgen -G "$folder/hostenv*" >/dev/null || continue ;;
    esac
    if [ "${passwd[$name]-}" = "$id" ]; then home=${homes[$name]}; else home=/home/$name; fi
    : "${known["$id $name"]:=$home}"
  done < <(stat -c '%u %n' -- "$profiles"/* /run/hostenv/user/* 2>/dev/null)
}

# sorted WORD...: a word a line.
sorted() { [ "$#" = 0 ] || printf '%s\n' "$@" | sort; }
# has WORD WORD...: whether the first is among the others.
has() { [[ " ${*:2} " == *" $1 "* ]]; }
# namesOf UID: the names that it is known by.
namesOf() {
  local key
  for key in "${!known[@]}"; do
    [ "${key% *}" != "$1" ] || printf '%s\n' "${key#* }"
  done
}

# replace FILE TEXT: FILE has the whole of the old text or of the new one.
replace() {
  # Its name is always this, so that none is left behind; only root writes there.
  local temp=$1.hostenv-new
  if rm -f -- "$temp" && (umask 077 && printf '%s\n' "$2" >"$temp") &&
    { if [ -e "$1" ]; then chown --reference="$1" -- "$temp" && chmod --reference="$1" -- "$temp"; else chmod 0644 -- "$temp"; fi; } &&
    sync -- "$temp" && mv -fT -- "$temp" "$1" && sync -- "${1%/*}"; then
    return
  fi
  rm -f -- "$temp"
  return 1
}

# stop UID...: ends what runs as these users, sessions, services and all.
stop() {
  # Not while the machine starts.
  [ "$#" != 0 ] && [ -d /run/systemd/system ] || return 0
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

# forget UID...: waits until logind does not know these users any more: what it
# does for a UID later, it would do under the name that it knows.
forget() {
  local id end=$((SECONDS + forgetTimeout))
  for id; do
    while [ -e "/run/systemd/users/$id" ]; do
      if [ "$SECONDS" -ge "$end" ]; then
        say "warning: logind still knows the user $id by its old name: deploy once more, or reboot, if its services are not there"
        return
      fi
      sleep 0.2
    done
  done
}

# foreign PATH UID: whether it is another user's. Root's is not: NixOS gives that
# to the user, as folders that were made by hand.
declare -A ownerAt=() # as it was at first; what is another user's is then looked at
foreign() { [ "${ownerAt[$1]-0}" != 0 ] && [ "${ownerAt[$1]}" != "$2" ]; }

# setAside PATH UID: what is another user's is no longer where this one's will be.
setAside() {
  foreign "$1" "$2" || return 0
  local other=${ownerAt[$1]}
  keepRoots "$other" "$1" "$1.$other"
  if mv --backup=numbered -T -- "$1" "$1.$other"; then
    say "$1 belongs to UID $other and not to $2: it is $1.$other now"
  else
    complain "$1 belongs to UID $other and not to $2, and cannot be set aside: move it away"
  fi
}

# take PATH UID FORMERLY...: what the user had at one of the other places is here,
# unless there is something here.
take() {
  local to=$1 id=$2 from
  shift 2
  for from; do
    isOf "$id" "$from" || continue
    mkdir -p -- "${to%/*}"
    if exists "$to" && ! { [ ! -L "$to" ] && rmdir -- "$to" 2>/dev/null; }; then
      say "warning: $from stays where it is, for $to is there"
      return
    fi
    if [ "$(stat -c %d -- "$from")" != "$(stat -c %d -- "${to%/*}")" ]; then
      complain "$from cannot become $to, on another file system: move it by hand"
      return
    fi
    keepRoots "$id" "$from" "$to"
    if mv -nT -- "$from" "$to" && sync -- "${from%/*}" "${to%/*}"; then
      say "$from is $to now"
    else
      complain "$from cannot become $to"
    fi
    return
  done
}

# keepRoots UID FROM TO: the roots of Nix's garbage collection lead to where a
# folder will be, and so does the user's link to what it installed.
keepRoots() {
  local name target
  if [ -d "$roots" ]; then
    while IFS= read -r -d '' name && IFS= read -r -d '' target; do
      ln -sfnT -- "$3${target#"$2"}" "$roots/$name"
    done < <(find "$roots" -maxdepth 1 -type l -lname "$2/*" -printf '%f\0%l\0')
  fi
  # As the user: the folder is its own, and may have changed by now.
  local home
  for home in "$2" "$3"; do
    if isOf "$1" "$home" && target=$(readlink -- "$home/.nix-profile") && [[ $target == "$2"/* ]]; then
      setpriv --reuid="$1" --regid="$1" --clear-groups ln -sfnT -- "$3${target#"$2"}" "$home/.nix-profile"
    fi
  done
}

# entries FILE: passwd(5) or group(5) with the names that UIDs and GIDs have now.
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

# shadows RENAME...: shadow(5), with OLD:NEW each.
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

# rewrite FILE TEXT, where it is another.
rewrite() {
  [ "$2" = "$(<"$1")" ] || replace "$1" "$2" || complain "$1 cannot be written"
}

activate() {
  local id name old key text linked
  local -a renames=() renamed=() gone=() folders=()
  declare -A strange=()

  for id in $(sorted "${!userOf[@]}"); do
    name=${userOf[$id]}
    # What the record has of a UID is of one environment, and so this one's.
    linked=${recorded[$id]-}
    for old in ${recorded[$id]-}; do
      if [ "$old" = "$name" ] || has "$old" "${formers[$id]-}"; then linked=; fi
    done
    if [ -n "$linked" ]; then
      complain "the UID $id was$linked's on this node, and the plan gives it to $name, which never had that name. Was generated/state.json lost? See \"Restore a state\" in docs/provider.md. If they are one environment, take the line of $id out of $record"
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
        complain "the UID $id is $old's, and the plan gives it to $name, which never had that name"
        strange[$id]=1
      fi
    done
  done

  for name in $(sorted "${!uidOf[@]}"); do
    id=${passwd[$name]-${uidOf[$name]}}
    if [ "$id" != "${uidOf[$name]}" ] && ! { [ -n "${userOf[$id]-}" ] && has "$name" "${formers[$id]-}"; }; then
      complain "the user $name has the UID $id on this node, and the plan gives it ${uidOf[$name]}: NixOS does not change that"
      strange[${uidOf[$name]}]=1
    fi
  done

  # Environments that are not here any more, and no other user's.
  for id in $(sorted "${!known[@]}" | cut -d ' ' -f 1 | uniq); do
    [ -z "${userOf[$id]-}${others[$id]-}" ] || continue
    linked=1
    for old in ${named[$id]-}; do
      if [ -z "${known["$id $old"]-}" ] || [ -n "${others[$old]-}" ]; then linked=; fi
    done
    if [ -n "$linked" ] && [ -e "/run/systemd/users/$id" ]; then gone+=("$id"); fi
  done

  for text in "${renames[@]}"; do say "the user ${text%:*} is ${text#*:} from now on"; done
  for id in "${gone[@]}"; do say "the environment$(printf ' %s' $(namesOf "$id")) (UID $id) is not on this node any more: what runs of it is stopped"; done
  [ "${NIXOS_ACTION-}" != dry-activate ] || return

  # Before anything has a new name: what a power cut leaves is known by it.
  text=$(
    {
      # Of the lines of a name, sort keeps the first.
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
    mkdir -p -- "${record%/*}" && replace "$record" "$text" || complain "$record cannot be written"
  fi

  # NixOS lets the users linger whose file is missing, and so starts them.
  for id in "${renamed[@]}" "${gone[@]}"; do
    for old in $(namesOf "$id"); do
      [ "${passwd[$old]-$id}" != "$id" ] || rm -f -- "$lingering/$old"
    done
  done
  stop "${renamed[@]}" "${gone[@]}"
  forget "${renamed[@]}"

  for name in "${!uidOf[@]}"; do
    folders+=("${homeOf[$name]}" "$profiles/$name" "/run/hostenv/user/$name" "/run/hostenv/nginx/$name" "@temp@/$name")
  done
  if [ "${#folders[@]}" != 0 ]; then
    while read -r id text; do ownerAt[$text]=$id; done < <(stat -L -c '%u %n' -- "${folders[@]}" 2>/dev/null)
  fi
  for name in "${!uidOf[@]}"; do
    id=${uidOf[$name]}
    [ -z "${strange[$id]-}" ] || continue
    setAside "${homeOf[$name]}" "$id"
    setAside "$profiles/$name" "$id"
    for text in "/run/hostenv/user/$name" "/run/hostenv/nginx/$name" "@temp@/$name"; do
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
    # A power cut may have come between the roots and the move, and then the system
    # from before.
    for old in "${folders[@]:1}"; do exists "$old" || keepRoots "$id" "$old" "$text"; done
    folders=("$profiles/$name.$id")
    for old in ${formers[$id]-}; do folders+=("$profiles/$old" "$profiles/$old.$id"); done
    take "$profiles/$name" "$id" "${folders[@]}"
    for old in ${formers[$id]-}; do
      for text in "/run/hostenv/user/$old" "/run/hostenv/nginx/$old" "@temp@/$old"; do
        if isOf "$id" "$text"; then rm -rf --one-file-system -- "$text"; fi
      done
    done
  done

  # What a user's containers own is in its home, by these numbers.
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

# inUse PATH: whether it is a user's home, above one or below one.
inUse() {
  local home
  for home in "${homes[@]}" "${homeOf[@]}"; do
    [[ $home/ != "$1"/* && $1/ != "$home"/* ]] || return 0
  done
  return 1
}

# leftOf UID NAME: the paths that are left of an environment by that name.
leftOf() {
  local at
  for at in "${known["$1 $2"]}" "${known["$1 $2"]}.$1"; do
    if isPlain "$at" && isOf "$1" "$at" && ! inUse "$at"; then printf '%s\n' "$at"; fi
  done
  for at in "$profiles/$2" "$profiles/$2.$1" "/run/hostenv/user/$2" "/run/hostenv/nginx/$2" "@temp@/$2"; do
    if isOf "$1" "$at"; then printf '%s\n' "$at"; fi
  done
  if [ -z "${passwd[$2]-}" ] && [ -e "$lingering/$2" ]; then printf '%s\n' "$lingering/$2"; fi
}

# runs UID: whether a process runs as an environment's user that is not here.
# logind is not asked, because it lists a user for a while after its last process.
runs() { [ -z "${named[$1]-}" ] && pgrep -U "$1" >/dev/null; }

# isLeft UID NAME: whether the environment is not here by that name.
isLeft() { [ "${uidOf[$2]-}" != "$1" ] && [ "${passwd[$2]-}" != "$1" ] && [ -z "${disabled[$1]-}${others[$1]-}" ]; }

list() {
  local key id name at comma= running
  printf '{"leftovers":['
  while read -r id name; do
    isLeft "$id" "$name" || continue
    mapfile -t at < <(leftOf "$id" "$name")
    running=false
    if runs "$id"; then running=true; fi
    [ "${#at[@]}" != 0 ] || [ "$running" = true ] || continue
    # Nothing here needs a backslash in JSON.
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
  isName "$name" && isUID "$id" || die "hostenv-users remove takes a user's name and its UID"
  [ -n "${known["$id $name"]-}" ] || die "this node knows of no environment $name with the UID $id"
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

[ "$EUID" = 0 ] || die "it wants root"
case "${1-}/$#" in
  activate/1 | list/1 | remove/3) ;;
  *) die "it is called as hostenv-users activate, list, or remove NAME UID" ;;
esac
readAll
"$@"
exit "$status"
