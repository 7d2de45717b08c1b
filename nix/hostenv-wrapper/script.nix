# The text of the wrapper, in pure builtins.
#
#   shell    the interpreter: any POSIX shell
#   hostenv  the program that is wrapped
#   deploy   "warn", "forward" or "off", see deploy.sh
{ shell, hostenv, deploy ? "forward" }:
let
  quote = text: "'" + builtins.replaceStrings [ "'" ] [ "'\\''" ] text + "'";
in
assert builtins.elem deploy [ "warn" "forward" "off" ]
  || throw "hostenv-wrapper: deploy is ${builtins.toJSON deploy}, and can be \"warn\", \"forward\" or \"off\"";
''
  #!${shell}
  hostenv_program=${quote "${hostenv}"}
  hostenv_deploy_mode=${deploy}

  ${builtins.readFile ./deploy.sh}
  ${builtins.readFile ./wrapper.sh}''
