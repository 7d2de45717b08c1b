# shellcheck shell=bash disable=SC2034,SC1090,SC2154
# The parts of nixpkgs' stdenv that a builder has: substitute and its family, wrapProgram, phases.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/homeless LC_ALL=C.UTF-8 CC=gcc CXX=g++ SHELL=/bin/bash SOURCE_DATE_EPOCH=1
set -eu -o pipefail
shopt -s nullglob
umask 022

build() {
  local p
  for p in ${nativeBuildInputs:-} ${buildInputs:-}; do if [ -d "$p/bin" ]; then PATH=$p/bin:$PATH; fi; done
  cd "${TMPDIR:-/build}"
  set +u
  source "$buildCommandPath"
}

# substitute IN OUT [--replace|--replace-fail|--replace-warn OLD NEW | --subst-var VAR | --subst-var-by VAR VALUE]...
substitute() {
  local from=$1 to=$2; shift 2   # not "out": that is the builder's
  perl -e '
    local $/; my ($in, $out, @how) = @ARGV;
    open(my $f, "<", $in) or die "substitute: $in: $!\n"; my $text = <$f>; close $f;
    while (@how) {
      my $h = shift @how; my ($old, $new);
      if ($h eq "--subst-var") { my $v = shift @how; ($old, $new) = ("\@$v\@", $ENV{$v} // die "substitute: no variable $v\n"); }
      elsif ($h eq "--subst-var-by") { ($old, $new) = ("\@" . shift(@how) . "\@", shift @how); }
      elsif ($h =~ /^--replace/) { ($old, $new) = (shift @how, shift @how); die "substitute: $in has no $old\n" if $h eq "--replace-fail" && index($text, $old) < 0; }
      else { die "substitute: what is $h?\n"; }
      $text =~ s/\Q$old\E/$new/g;
    }
    open($f, ">", "$out.tmp") or die "substitute: $out: $!\n"; print $f $text; close $f;
  ' "$from" "$to" "$@"
  if [ -e "$to" ]; then chmod --reference="$to" "$to.tmp"; elif [ -x "$from" ]; then chmod +x "$to.tmp"; fi
  mv -f "$to.tmp" "$to"
}
substituteInPlace() {
  local files=()
  while [ $# -gt 0 ] && [[ $1 != --* ]]; do files+=("$1"); shift; done
  local f; for f in "${files[@]}"; do substitute "$f" "$f" "$@"; done
}
# every @name@ that is a variable of the environment
substituteAll() {
  perl -e '
    local $/; my ($in, $out) = @ARGV;
    open(my $f, "<", $in) or die "$in: $!\n"; my $text = <$f>; close $f;
    $text =~ s/\@([a-z][A-Za-z0-9_]*)\@/exists $ENV{$1} ? $ENV{$1} : "\@$1\@"/ge;
    open($f, ">", $out) or die "$out: $!\n"; print $f $text;
  ' "$1" "$2"
}

# wrapProgram PROGRAM [--set VAR VALUE | --prefix VAR SEP VALUE | --suffix VAR SEP VALUE | --add-flags FLAGS]...
makeWrapper() {
  local program=$1 wrapper=$2; shift 2
  local vars="" flags=""
  while [ $# -gt 0 ]; do
    case $1 in
      --set) vars+="export $2=$(printf %q "$3")"$'\n'; shift 3 ;;
      --set-default) vars+="export $2=\${$2-$(printf %q "$3")}"$'\n'; shift 3 ;;
      --prefix) vars+="export $2=$(printf %q "$4")\${$2:+$3\$$2}"$'\n'; shift 4 ;;
      --suffix) vars+="export $2=\${$2:+\$$2$3}$(printf %q "$4")"$'\n'; shift 4 ;;
      --add-flags) flags+=" $2"; shift 2 ;;
      --inherit-argv0) shift ;;
      *) echo "makeWrapper: what is $1?" >&2; return 1 ;;
    esac
  done
  mkdir -p "$(dirname "$wrapper")"
  printf '#!/bin/bash -e\n%sexec "%s"%s "$@"\n' "$vars" "$program" "$flags" > "$wrapper"
  chmod +x "$wrapper"
}
wrapProgram() {
  local program=$1 hidden; shift
  hidden=$(dirname "$program")/.$(basename "$program")-wrapped
  mv "$program" "$hidden"
  makeWrapper "$hidden" "$program" "$@"
}
runHook() { eval "${!1:-}"; }
patchShebangs() { :; }
installManPage() { :; }
