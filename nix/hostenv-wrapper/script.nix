# The text of the wrapper, without nixpkgs.
#
#   shell    the interpreter: any POSIX shell
#   hostenv  the wrapped program
#   deploy   "warn", "forward" or "off", see deploy.sh
{ shell, hostenv, deploy ? "forward" }:
let
  fill = import ../lib/fill.nix;
  inherit (import ../lib/strings.nix) quote;
in
assert builtins.elem deploy [ "warn" "forward" "off" ]
  || throw "hostenv-wrapper: deploy is ${builtins.toJSON deploy}, and can be \"warn\", \"forward\" or \"off\"";
"#!${shell}\n"
+ fill ./deploy.sh { mode = deploy; }
+ fill ./wrapper.sh { hostenv = quote "${hostenv}"; }
