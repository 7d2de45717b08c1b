let
  fill = import ../lib/fill.nix;
  file = ./fixtures/greeting.sh;
in
{
  filled = { expr = fill file { greeting = "good @morning@"; name = "'a'"; }; expected = "# shellcheck shell=bash disable=SC2154\necho good @morning@ \"\${all[@]}\" 'a' good @morning@\n"; };
  missing = { expr = fill file { greeting = "hello"; }; error = "greeting.sh: no value for @name@"; };
  unused = { expr = fill file { greeting = "hello"; name = "a"; nane = "b"; }; error = "greeting.sh: no placeholder for nane"; };
}
