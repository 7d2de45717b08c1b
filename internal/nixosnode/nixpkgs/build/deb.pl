#!/usr/bin/perl
# deb.pl: the files of the Debian packages $debs as the store path $out: bin, lib, libexec, share, etc. Copies, so that it
# is a real closure that can be pushed. Shared libraries are found in the Debian tree of the machine that it is on.
use strict;
use warnings;
use File::Basename qw(dirname basename);
use File::Copy qw(copy);
use File::Path qw(make_path);

my $out = $ENV{out};
my $arch = "x86_64-linux-gnu";
make_path("$out/bin", "$out/lib");
symlink "bin", "$out/sbin";

sub place {    # where a file of Debian's is put, undef if it is left out
  my ($f) = @_;
  return if $f =~ m{^/usr/share/(doc|man|locale|lintian|bug|info)/};
  return "bin/$1" if $f =~ m{^(?:/usr)?/s?bin/(.+)};
  return "lib/$1" if $f =~ m{^(?:/usr)?/lib/\Q$arch\E/(.+)};
  return "$1" if $f =~ m{^/usr/((?:lib|libexec|share)/.+)};
  return "$1" if $f =~ m{^/((?:lib|etc)/.+)};
  return;
}

for my $deb (split ' ', $ENV{debs}) {
  my ($list) = grep { -e } "/var/lib/dpkg/info/$deb.list", glob("/var/lib/dpkg/info/$deb:*.list");
  die "the Debian tree has no package $deb: add it to tree.sh\n" unless $list;
  open(my $l, "<", $list) or die;
  while (my $f = <$l>) {
    chomp $f;
    my $to = place($f);
    next unless defined $to && (-l $f || -f $f);    # not: folders, and what path-exclude left out
    make_path(dirname("$out/$to"));
    next if -e "$out/$to" || -l "$out/$to";
    if (-l $f && readlink($f) !~ m{^/etc/alternatives/}) { symlink readlink($f), "$out/$to" or die "$to: $!"; next }
    copy($f, "$out/$to") or die "$f: $!";
    chmod((-x $f ? 0755 : 0644), "$out/$to");       # Nix forbids builders to make setuid files
  }
}
# names that alternatives give to these programs
for my $link (glob("/usr/bin/* /usr/sbin/*")) {
  next unless -l $link && readlink($link) =~ m{^/etc/alternatives/};
  my $program = basename(readlink(readlink $link) // next);
  my $name = "$out/bin/" . basename($link);
  symlink $program, $name if -e "$out/bin/$program" && !-e $name;
}
